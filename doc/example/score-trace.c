/* Scores a trace against a profile:  cc score-trace.c $(pkg-config --cflags --libs imsafe) -o score-trace */
#include <imsafe.h>
#include <stdio.h>

static void print_alarm(void *alarms, const struct imsafe_alarm *alarm)
{
	printf("alarm %d, call %llu:\n%s\n", ++*(int *)alarms, (unsigned long long)alarm->sequence, alarm->text);
}

int main(int argc, char **argv)
{
	int alarms = 0, r = -1;
	struct imsafe_callbacks callbacks = { .alarm = print_alarm, .data = &alarms };
	struct imsafe_error error = { "usage: score-trace PROFILE TRACE" };
	struct imsafe_profile *profile = NULL;
	struct imsafe_source *source = NULL;
	struct imsafe_watch *watch = NULL;

	if (argc == 3 && (r = imsafe_profile_open(argv[1], &profile, &error)) >= 0 &&
	    (r = imsafe_watch_new(profile, NULL, &callbacks, &watch, &error)) >= 0 &&
	    (r = imsafe_source_open_trace(argv[2], &source, &error)) >= 0)
		while ((r = imsafe_source_dispatch(source, watch, &error)) > 0)
			;
	fprintf(stderr, "%s\n", r < 0 ? error.text : "that was the whole trace");
	imsafe_source_close(source);
	imsafe_watch_free(watch);
	imsafe_profile_close(profile);
	return r < 0 ? 2 : alarms > 0;
}
