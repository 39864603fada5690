/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Applications guarded in the kernel: quiet in their habits, an alarm out of them; and the same as in user space. */
#include <bpf/bpf.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "alarm/monitor.h"
#include "model/freeze.h"
#include "model/learner.h"
#include "model/sites.h"
#include "code.h"
#include "sensor-test.h"
#include "sensor/guard.h"
#include "../tap.h"

static const char *subject;
static struct image image;   /* of the subject's habit */
static const struct policy policy = { .window = { { 16, COST_MAX / 4 } }, .min_calls = 8, .foreign = 1 };
static struct errmsg err;

#define ARGV(...) ((char **)(const char *[]){ subject, __VA_ARGS__, NULL })

static struct sites sites;   /* of its calls */

struct learning {
	struct learner *learner;
	struct sensor *sensor;
	bool sites;
};

static int learn_events(void *data, const struct event *events, size_t n)
{
	struct learning *l = data;
	int r = l->sites ? sites_add(&sites, events, n, &l->sensor->modules) : 0;

	return r < 0 ? r : learner_add(l->learner, events, n);
}

static bool learn(struct image *ret_image, char **argv, bool with_sites)
{
	_cleanup_(learner_freep) struct learner *learner = learner_new(LENGTH_DEFAULT, NULL, NULL);
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	const struct sensor_config config = {
		.targets = &target, .n_targets = 1, .follow_fork = true, .follow_exec = true, .origins = true, .sites = true,
	};
	struct learning l = { .learner = learner, .sites = with_sites };
	struct counts counts = { 0 };
	int r = 0;

	for (int i = 0; i < 10 && r >= 0; i++) {
		_cleanup_(sensor_closep) struct sensor *sensor = NULL;

		r = sensor_open("ebpf", &config, &sensor, &err);
		while (r >= 0) {
			struct pollfd ready = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

			poll(&ready, 1, -1);
			l.sensor = sensor;
			r = sensor->ops->dispatch(sensor, learn_events, &l, &err);
			if (r == 0)
				break;
		}
		sites_next_stream(&sites);
		if (r >= 0)
			r = learner_end_trace(learner);
	}
	if (r >= 0)
		r = learner_counts(learner, &counts);
	if (r >= 0)
		r = freeze(&counts, arch_native(), ret_image, &err);
	counts_done(&counts);
	return r >= 0;
}

struct seen {
	size_t alarms, closed, unforeseen;
	bool early; /* an unforeseen call came before any alarm */
	struct guard_alarm first;
	struct process_info process[2];            /* of the first alarm, and of the last if there is another */
	struct scored_call history[HISTORY_CALLS]; /* of the first alarm */
	struct guard_alarm all[4096];
	struct scored_call *samples;
	size_t n_samples, size;
};

static struct seen seen;

static void on_alarm(void *data, const struct guard_alarm *alarm)
{
	if (!seen.alarms) {
		seen.first = *alarm;
		memcpy(seen.history, alarm->history, alarm->n_history * sizeof(*alarm->history));
	}
	seen.process[!!seen.alarms] = *alarm->process;
	if (seen.alarms < ARRAY_SIZE(seen.all))
		seen.all[seen.alarms] = *alarm;
	seen.alarms++;
}

static void on_closed(void *data, unsigned application, uint32_t tid)
{
	seen.closed++;
}

static void on_unforeseen(void *data, unsigned application, const struct scored_call *call)
{
	seen.unforeseen++;
	seen.early |= !seen.alarms;
}

static void on_sample(void *data, unsigned application, const struct scored_call *call)
{
	if (seen.n_samples == seen.size) {
		seen.size = MAX(2 * seen.size, (size_t)4096);
		seen.samples = realloc(seen.samples, seen.size * sizeof(*seen.samples));
		if (!seen.samples)
			exit(99);
	}
	seen.samples[seen.n_samples++] = *call;
}

static const struct guard_callbacks callbacks = {
	.alarm = on_alarm, .closed = on_closed, .unforeseen = on_unforeseen, .sample = on_sample,
};

static void forget(void)
{
	free(seen.samples);
	seen = (struct seen){ 0 };
}

static int wait_and_dispatch(struct guard *guard, int ms)
{
	struct pollfd ready = { .fd = guard_fd(guard), .events = POLLIN };

	poll(&ready, 1, ms);
	return guard_dispatch(guard, &callbacks, &err);
}

/* Runs the subject guarded, to its end. Its wait status, or negative. */
static int run(struct guard_application *application, char **argv, struct guard_stats *ret_stats)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	unsigned number;
	int r, status = -1;

	forget();
	application->targets = &target;
	application->n_targets = 1;
	application->follow_fork = application->follow_exec = true;
	application->image = &image;
	application->policy = &policy;
	r = guard_open(&guard, &err);
	if (r >= 0)
		r = guard_add_application(guard, application, &number, &err);
	while (r >= 0 && (r = wait_and_dispatch(guard, 1000)) > 0)
		;
	if (r < 0) {
		printf("# %s\n", err.text);
		return r;
	}
	guard_stats(guard, number, ret_stats);
	guard_exit_status(guard, number, &status);
	return status;
}

static void test_habit(void)
{
	struct guard_application application = { .name = "habit", .level = GUARD_MEMORY };
	struct guard_stats stats;
	int status = run(&application, ARGV("normal:200", "threads:3", "forks:3"), &stats);

	ok(status == 0, "a guarded application runs and ends as ever");
	ok(!seen.alarms && !stats.alarms, "in its habits there is no alarm (%zu)", seen.alarms);
	ok(stats.calls > 6000 && stats.cost / stats.calls < COST_MAX / 8, "its %llu calls were scored",
	   (unsigned long long)stats.calls);
	ok(stats.started == 7 && stats.ended == 7 && !stats.threads && !stats.refused, "of its 7 threads (%llu, %llu)",
	   (unsigned long long)stats.started, (unsigned long long)stats.ended);
	/* While a sibling maps memory the kernel cannot say; the threads map a few times when they begin and end. */
	ok(stats.unknown_origins < 10 && !stats.foreign, "none from where it should not be (unknown: %llu)",
	   (unsigned long long)stats.unknown_origins);

	status = run(&application, ARGV("normal:1000", "forks:3"), &stats);
	ok(status == 0 && stats.calls > 6000 && !stats.unknown_origins && !stats.foreign,
	   "without siblings each of %llu calls from where it should be (unknown: %llu)", (unsigned long long)stats.calls,
	   (unsigned long long)stats.unknown_origins);
}

static void test_odd(void)
{
	struct guard_application application = { .name = "odd", .level = GUARD_MEMORY };
	struct guard_stats stats;
	int status = run(&application, ARGV("normal:200", "odd:40", "normal:200"), &stats);
	const struct scored_call *last = &seen.history[HISTORY_CALLS - 1];
	unsigned unexpected = 0;

	ok(status == 0 && seen.alarms == 1 && stats.alarms == 1, "out of its habits, one alarm (%zu)", seen.alarms);
	ok(seen.closed == 1 && stats.closed == 1, "whose episode ends");
	ok(seen.first.n_history == HISTORY_CALLS && last->verdict.flags == seen.first.flags && seen.first.flags & VERDICT_ALARM,
	   "with the %d calls up to it", HISTORY_CALLS);
	for (size_t i = 0; i < HISTORY_CALLS; i++)
		unexpected += !(seen.history[i].verdict.flags & VERDICT_SEEN);
	ok(unexpected >= 2 && unexpected <= 16, "of which %u were not expected", unexpected);
	ok(last->mean == seen.first.mean[0] && last->mean > policy.window[0].limit, "and the means that led to it");
	ok(!strcmp(seen.process[0].comm, "subject") && seen.first.pid == seen.first.tid && seen.first.time, "by whom and when");
}

static bool is_described(struct process_info *process, const char *program, const char *comm)
{
	char path[PATH_MAX] = "", build_id[41] = "";
	int64_t age = time(NULL) - process->started;

	if (!realpath(program, path) || build_id_read(path, build_id) < 0)
		*build_id = '\0';
	if (strcmp(process->exe, path) || strcmp(process->build_id, build_id) || strcmp(process->comm, comm))
		printf("# %s (%s), build-id %s; should be %s (%s), %s\n", process->exe, process->comm, process->build_id, path, comm,
		       build_id);
	return process->found && !strcmp(process->exe, path) && !strcmp(process->build_id, build_id) && !strcmp(process->comm, comm) &&
	       process->uid == getuid() && age > -5 && age < 600 && process->n_parents && process->parents[0].pid == getpid() &&
	       !strncmp(process->parents[0].comm, "test-guard", 10) && strstr(process->cmdline, subject);
}

/* Alarms that are read when the process runs another program by now, or has ended. */
static void test_identity(void)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	_cleanup_free_ char *script = NULL;
	struct target target = { .kind = TARGET_COMMAND };
	struct guard_application application = {
		.name = "identity", .level = GUARD_MEMORY, .targets = &target, .n_targets = 1, .follow_fork = true, .follow_exec = true,
		.image = &image, .policy = &policy,
	};
	struct guard_stats stats = { 0 };
	unsigned number;
	int r;

	forget();
	if (asprintf(&script, "umask >/dev/null; exec '%s' normal:200 odd:40", subject) < 0)
		exit(99);
	target.argv = (char **)(const char *[]){ "sh", "-c", script, NULL };
	r = guard_open(&guard, &err);
	if (r >= 0)
		r = guard_add_application(guard, &application, &number, &err);
	for (int i = 0; r >= 0 && i < 3000 && (!stats.started || stats.started != stats.ended); i++) {
		usleep(10000);
		guard_stats(guard, number, &stats);
	}
	while (r >= 0 && (r = wait_and_dispatch(guard, 1000)) > 0)
		;
	ok(r == 0 && seen.alarms > 1 && is_described(&seen.process[0], "/bin/sh", "sh"),
	   "an alarm says which program it was, although another one runs by now");
	ok(is_described(&seen.process[1], subject, "subject"), "and who it was, although it has ended");
	process_refresh(&seen.process[1]);
	ok(seen.process[1].ended && *seen.process[1].user, "which it says, too");
}

static void test_foreign(void)
{
#ifdef HAVE_CODE
	static const struct {
		const char *step;
		uint8_t origin;
	} ways[] = {
		{ "stack", EVENT_FROM(ORIGIN_STACK, ABI_NATIVE) }, { "heap", EVENT_FROM(ORIGIN_HEAP, ABI_NATIVE) },
		{ "anon", EVENT_FROM(ORIGIN_ANON, ABI_NATIVE) }, { "writable", EVENT_FROM(ORIGIN_WRITABLE, ABI_NATIVE) },
#ifdef __x86_64__
		{ "int80", EVENT_FROM(ORIGIN_FILE, ABI_COMPAT) }, { "x32", EVENT_FROM(ORIGIN_FILE, ABI_X32) },
#endif
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct guard_application application = { .name = "foreign", .level = GUARD_MEMORY };
		struct guard_stats stats;
		const struct scored_call *last;
		int status = run(&application, ARGV("normal:100", ways[i].step, "normal:100"), &stats);
		size_t n = 0;

		/* Getting there may be unusual, too: look for the alarm of the foreign call. */
		while (n < seen.alarms && !(seen.all[n].flags & VERDICT_ALARM_FOREIGN))
			n++;
		last = n ? NULL : &seen.history[seen.first.n_history - 1];
		if (status && (status >> 8) == 3) {
			ok(true, "# SKIP this kernel does not let a process make its %s executable", ways[i].step);
			continue;
		}
		ok(status == 0 && n < seen.alarms && stats.foreign == 1, "one call through %s is one foreign call, and an alarm",
		   ways[i].step);
		ok(!last || last->event.origin == ways[i].origin, "and it is known for what it is");
	}
#endif
}

/* The kernel's own way to look a mapping up without its lock, which page faults take: then so can the driver. */
static bool has_lockless_lookup(void)
{
	_cleanup_fclose_ FILE *types = fopen("/sys/kernel/btf/vmlinux", "re");
	static const char word[] = "vm_lock_seq";
	size_t at = 0;
	int byte;

	while (types && (byte = getc(types)) != EOF) {
		at = byte == word[at] ? at + 1 : byte == word[0];
		if (at == sizeof(word))
			return true;
	}
	return false;
}

/* While other threads map memory without end, bpf_find_vma() cannot look. */
static void test_mapping(void)
{
	struct guard_application application = { .name = "mapping", .level = GUARD_MEMORY };
	struct guard_stats stats;
	int status;

	if (!has_lockless_lookup()) {
		ok(true, "origins while memory is mapped # SKIP before Linux 6.4 there are none");
		return;
	}
	status = run(&application, ARGV("mapping:3", "wait:50", "normal:20000"), &stats);
	ok(status == 0 && !stats.foreign && stats.calls > 60000 && stats.unknown_origins < stats.calls / 20,
	   "where calls come from is known while siblings map memory (not of %llu in %llu), and not mistaken",
	   (unsigned long long)stats.unknown_origins, (unsigned long long)stats.calls);
#ifdef HAVE_CODE
	status = run(&application, ARGV("mapping:3", "wait:50", "anon"), &stats);
	ok(status == 0 && stats.foreign == 1, "so one foreign call among them is found");
#endif
}

static struct guard_site *guard_sites(void)
{
	struct guard_site *list = calloc(sites.n + 1, sizeof(*list));

	for (size_t i = 0; list && i < sites.n; i++)
		list[i] = (struct guard_site){ sites.site[i].module, sites.site[i].call, sites.site[i].offset };
	return list;
}

static void test_sites(void)
{
	_cleanup_free_ struct guard_site *list = guard_sites();
	struct guard_application application = {
		.name = "sites", .level = GUARD_SITES, .sites = list, .n_sites = sites.n, .modules = &sites.modules,
	};
	struct guard_stats stats;
	const struct scored_call *last;
	int status = run(&application, ARGV("normal:200", "threads:3", "forks:3"), &stats);

	ok(status == 0 && sites.n > 20 && !stats.missing_modules, "%zu places in %u files were learned", sites.n,
	   sites.modules.n - 1);
	ok(!seen.alarms && !stats.foreign && !stats.unknown_sites && stats.calls > 6000, "all calls come from there (not: %llu)",
	   (unsigned long long)stats.unknown_sites);
	status = run(&application, ARGV("normal:200", "odd:1", "normal:200"), &stats);
	last = &seen.history[seen.first.n_history - 1];
	ok(status == 0 && seen.alarms == 1 && stats.unknown_sites == 1 && seen.first.flags & VERDICT_ALARM_FOREIGN &&
	   last->event.origin == ORIGIN_STRAY, "the first call that training did not see made there is an alarm");
	application.modules = NULL;
	status = run(&application, ARGV("normal:10"), &stats);
	ok(status == 0 && seen.alarms && stats.unknown_sites == stats.calls, "files that training did not see are strange altogether");
	application.n_sites = 0;
	ok(run(&application, ARGV("normal:10"), &stats) == -EINVAL, "a profile without places is refused");
}

static void test_signal(void)
{
	struct guard_application application = { .name = "kill", .level = GUARD_MEMORY, .signal = SIGKILL, .dry_run = true };
	struct guard_stats stats;
	int status = run(&application, ARGV("normal:100", "odd:100"), &stats);

	ok(status == 0 && seen.first.signalled == SIGKILL, "with dry_run the alarm says what would have happened");
	application.dry_run = false;
	status = run(&application, ARGV("normal:100", "odd:100", "normal:100000"), &stats);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && stats.alarms == 1, "the signal ends it at the alarm");
	ok(stats.calls < 2000, "there and then (after %llu calls)", (unsigned long long)stats.calls);
}

/* All that happened is played to user space's monitor: same verdicts, same means, same alarms in the same places. */
struct replayed {
	size_t at, different, alarms, other, unforeseen;
};

static void on_replayed_call(void *data, uint64_t sequence, const struct scored_call *call)
{
	struct replayed *r = data;
	const struct scored_call *live = &seen.samples[r->at];

	r->different += memcmp(&live->verdict, &call->verdict, sizeof(call->verdict)) || live->node != call->node ||
			live->mean != call->mean;
}

static void on_replayed_alarm(void *data, const struct alarm *alarm)
{
	struct replayed *r = data;
	bool found = false;

	/* Alarms of several threads may leave the kernel in another order than their calls. */
	for (size_t i = 0; i < seen.alarms && !found; i++)
		found = seen.all[i].tid == alarm->tid && seen.all[i].thread_calls == alarm->thread_calls &&
			seen.all[i].flags == alarm->flags;
	r->alarms++;
	r->other += !found;
}

static bool on_replayed_unforeseen(void *data, const struct scored_call *call)
{
	struct replayed *r = data;

	r->unforeseen++;
	return false;
}

static void test_replay(char **argv, const char *what)
{
	struct guard_application application = { .name = "replay", .level = GUARD_MEMORY, .sample = 1 };
	struct replayed r = { 0 };
	const struct monitor_callbacks replay = { .call = on_replayed_call, .alarm = on_replayed_alarm,
						  .unforeseen = on_replayed_unforeseen, .data = &r };
	struct policy armed = policy;
	struct monitor *monitor;
	struct guard_stats stats;
	int status = run(&application, argv, &stats);
	size_t n_calls = 0;

	policy_arm(&armed, image.header, 0);
	monitor = monitor_new(&image, &armed, &replay);
	for (r.at = 0; r.at < seen.n_samples; r.at++) {
		n_calls += seen.samples[r.at].event.kind == EVENT_CALL;
		if (monitor_add(monitor, &seen.samples[r.at].event, 1) < 0)
			exit(99);
	}
	monitor_free(monitor);
	ok(status == 0 && !stats.lost_samples && n_calls == stats.calls, "%s: %zu calls were handed out", what, n_calls);
	ok(!r.different, "%s: replayed, all verdicts, states and means are the same (%zu not)", what, r.different);
	ok(r.unforeseen == seen.unforeseen + stats.lost_unforeseen && !seen.early,
	   "%s: and what goes on in episodes (%zu calls, %zu handed out)", what, r.unforeseen, seen.unforeseen);
	ok(r.alarms == seen.alarms && !r.other, "%s: and the alarms (%zu and %zu, %zu elsewhere)", what, seen.alarms, r.alarms,
	   r.other);
}

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (!pid) {
		execv(subject, argv);
		_exit(127);
	}
	return pid;
}

static void dispatch_for(struct guard *guard, int ms)
{
	struct timespec start_time, now;

	clock_gettime(CLOCK_MONOTONIC, &start_time);
	do {
		wait_and_dispatch(guard, 20);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start_time.tv_sec) * 1000 + (now.tv_nsec - start_time.tv_nsec) / 1000000 < ms);
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_replace(const struct image *other)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	pid_t pid = start(ARGV("normal:2000000000"));
	const struct target target = { .kind = TARGET_PID, .pid = pid };
	struct guard_application application = {
		.name = "replace", .targets = &target, .n_targets = 1, .image = &image, .policy = &policy, .level = GUARD_MEMORY,
	};
	struct guard_stats before, after;
	unsigned number;
	int r;

	forget();
	r = guard_open(&guard, &err);
	usleep(50000); /* past its start */
	if (r >= 0)
		r = guard_add_application(guard, &application, &number, &err);
	if (!ok(r >= 0, "a running process is guarded from now on")) {
		printf("# %s\n", err.text);
		reap(pid);
		return;
	}
	dispatch_for(guard, 200);
	guard_stats(guard, number, &before);
	ok(before.calls > 1000 && !seen.alarms, "its habit is known (%llu calls, %zu alarms)", (unsigned long long)before.calls,
	   seen.alarms);
	r = guard_replace_image(guard, number, other, &policy, &err);
	dispatch_for(guard, 200);
	guard_stats(guard, number, &after);
	ok(r >= 0 && after.generation != before.generation && after.calls > before.calls, "a new image is used at once");
	ok(seen.alarms == 1 && seen.first.generation == after.generation, "and it knows other habits");
	ok(seen.first.tid == (uint32_t)pid && seen.first.pid == (uint32_t)pid && after.threads == 1,
	   "the thread that ran before is named and counted (%u, %llu)", seen.first.tid, (unsigned long long)after.threads);
	for (int i = 0; i < 50 && r >= 0; i++)
		r = guard_replace_image(guard, number, &image, &policy, &err);
	dispatch_for(guard, 50);
	ok(r >= 0 && seen.alarms == 1, "many more replacements in a row raise no alarm (%zu)", seen.alarms - 1);
	r = guard_remove_application(guard, number);
	dispatch_for(guard, 200);
	ok(r >= 0 && !guard_dispatch(guard, &callbacks, &err), "when the application is removed, its threads are let go");
	ok(!kill(pid, 0) && !waitpid(pid, NULL, WNOHANG), "and it goes on");
	reap(pid);
}

/* A thread that sleeps while its application is removed is let go at its next call or its end; only then is it over. */
static void test_removed(void)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	unsigned number, first = 0, again = 0;

	forget();
	if (!ok(guard_open(&guard, &err) == 0, "opens"))
		return;
	for (int i = 0; i < 3; i++) {
		struct target target = { .kind = TARGET_PID, .pid = fork() };
		struct guard_application application = {
			.name = "removed", .targets = &target, .n_targets = 1, .image = &image, .policy = &policy, .level = GUARD_MEMORY,
		};
		struct guard_stats stats = { 0 };

		if (!target.pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				usleep(20000);
		}
		if (guard_add_application(guard, &application, &number, &err) < 0) {
			reap(target.pid);
			break;
		}
		for (int wait = 0; wait < 1000 && !stats.started; wait++) {
			usleep(2000);
			guard_stats(guard, number, &stats);
		}
		if (!i)
			first = number;
		again += number == first;
		guard_remove_application(guard, number);
		reap(target.pid);
	}
	ok(again == 3, "the number of a removed application is given out again once its last thread has ended (%u of 3)", again);
}

static void test_two(const struct image *other)
{
	_cleanup_(guard_closep) struct guard *guard = NULL;
	const struct target targets[] = { { .kind = TARGET_EXE, .name = subject }, { .kind = TARGET_EXE, .name = "/bin/true" } };
	struct guard_application application = {
		.name = "one", .targets = &targets[0], .n_targets = 1, .follow_fork = true, .follow_exec = true,
		.image = &image, .policy = &policy, .level = GUARD_MEMORY,
	};
	struct guard_stats one, two;
	unsigned numbers[2];
	pid_t pid;
	int r = guard_open(&guard, &err);

	forget();
	if (r >= 0)
		r = guard_add_application(guard, &application, &numbers[0], &err);
	application.targets = &targets[1];
	application.image = other;
	if (r >= 0)
		r = guard_add_application(guard, &application, &numbers[1], &err);
	if (!ok(r >= 0, "two applications that are not yet started")) {
		printf("# %s\n", err.text);
		return;
	}
	pid = start(ARGV("normal:300", "threads:1", "forks:2")); /* as in training: libc forks in another way before any thread */
	waitpid(pid, NULL, 0);
	if (!fork()) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	wait(NULL);
	dispatch_for(guard, 50);
	guard_stats(guard, numbers[0], &one);
	guard_stats(guard, numbers[1], &two);
	ok(one.started == 4 && one.ended == 4 && one.calls > 2000, "the first is found when it starts, with its children");
	ok(two.started == 1 && two.ended == 1 && two.calls > 5 && two.calls < 200, "so is the second (%llu calls)",
	   (unsigned long long)two.calls);
	/* A thread that has ended before it is joined can be unusual, a whole run cannot. */
	ok(one.calls && one.cost / one.calls < COST_MAX / 8, "each has its own image");
	r = guard_add_application(guard, &(struct guard_application){ .name = "again", .targets = targets, .n_targets = 1,
				  .image = &image, .policy = &policy }, &numbers[1], &err);
	ok(r == -EEXIST && strstr(err.file, "subject"), "a program belongs to one application only");
}

int main(int argc, char **argv)
{
	struct image other = { 0 };
	unsigned before, after = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: test-guard SUBJECT\n");
		return 99;
	}
	subject = argv[1];
	need_driver();
	sites_init(&sites);
	before = count_objects();
	if (!ok(learn(&image, ARGV("normal:200", "threads:3", "forks:3"), true), "learns the subject's habit")) {
		printf("# %s\n", err.text);
		return tap_done();
	}
	learn(&other, ARGV("odd:100"), false);
	test_habit();
	test_odd();
	test_identity();
	test_foreign();
	test_mapping();
	test_sites();
	test_signal();
	test_replay(ARGV("normal:300", "odd:20", "normal:100", "threads:4", "forks:4"), "habits and oddities");
	test_replay(ARGV("normal:50", "exec", "normal:50", "odd:7", "thread-exec", "normal:50", "forks:1"), "exec");
#ifdef HAVE_CODE
	test_replay(ARGV("normal:50", "anon", "normal:500", "int80", "normal:10", "stack", "odd:90"), "foreign calls");
#endif
	test_replace(&other);
	test_removed();
	test_two(&other);
	forget();
	after = count_down_to(before);
	ok(after <= before, "nothing is left in the kernel (%u objects before, %u after)", before, after);
	image_free(&image);
	image_free(&other);
	sites_done(&sites);
	return tap_done();
}
