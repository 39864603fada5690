/* Scores a trace against a profile:  cc score-trace.c $(pkg-config --cflags --libs imsafe) -o score-trace */
#include <imsafe.h>
#include <stdio.h>

static void print_alarm(void *data, const struct imsafe_alarm *alarm)
{
	(void)data;
	printf("call %llu, thread %u:\n%s\n", (unsigned long long)alarm->sequence, alarm->tid, alarm->text);
}

int main(int argc, char **argv)
{
	struct imsafe_callbacks callbacks = { .alarm = print_alarm };
	struct imsafe_profile *profile = NULL;
	struct imsafe_source *source = NULL;
	struct imsafe_watch *watch = NULL;
	struct imsafe_stats stats = { 0 };
	struct imsafe_error error;
	int r = -1;

	if (argc == 3 && (r = imsafe_profile_open(argv[1], &profile, &error)) >= 0 &&
	    (r = imsafe_watch_new(profile, NULL, &callbacks, &watch, &error)) >= 0 &&
	    (r = imsafe_source_open_trace(argv[2], &source, &error)) >= 0)
		while ((r = imsafe_source_dispatch(source, watch, &error)) > 0)
			;
	if (watch)
		imsafe_watch_stats(watch, &stats);
	printf("%llu calls, %llu alarms\n", (unsigned long long)stats.calls, (unsigned long long)stats.alarms);
	if (r < 0)
		fprintf(stderr, "%s\n", argc == 3 ? error.text : "usage: score-trace PROFILE TRACE");
	imsafe_source_close(source);
	imsafe_watch_free(watch);
	imsafe_profile_close(profile);
	return r < 0 ? 2 : stats.alarms > 0;
}
