/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sensors' contract (sensor/sensor.h), checked on any of them: contract SENSOR TRACEE. Each scenario of tracee.c runs
 * under the sensor, and what it noted of its own calls is compared with what was reported, thread by thread and call by
 * call. "replay" records with ptrace first and then checks the recording, played.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "code.h"
#include "compat.h"
#include "journal.h"
#include "sensor/sensor.h"
#include "tap.h"
#include "trace/thread-table.h"
#include "trace/trace.h"

static char scratch[] = "/tmp/imsafe-contract-XXXXXX";
static char journal_path[64], arm_path[80], trace_path[64], tracee_path[4096];
static const char *sensor_name;
static struct journal *journal;

struct log {
	struct event *events;
	size_t n, allocated;
	struct sensor_stats stats;
	int status;
};

static int on_events(void *data, const struct event *events, size_t n)
{
	struct log *log = data;

	if (log->n + n > log->allocated) {
		log->allocated = (log->n + n) * 2;
		log->events = realloc(log->events, log->allocated * sizeof(*events));
		if (!log->events)
			abort();
	}
	memcpy(log->events + log->n, events, n * sizeof(*events));
	log->n += n;
	return 0;
}

static void journal_clear(void)
{
	/* The entries, too: a thread may be killed between taking one and filling it in. */
	memset(journal->entries, 0, MIN(atomic_load(&journal->n), (unsigned)JOURNAL_ENTRIES) * sizeof(*journal->entries));
	memset(journal, 0, offsetof(struct journal, entries));
}

/* Dispatches as a main loop does, until the application has ended. */
static int drain(struct sensor *sensor, struct log *log, struct errmsg *err)
{
	int r;

	do {
		struct pollfd ready = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		if (ready.fd >= 0 && poll(&ready, 1, 120000) == 0)
			return errmsg_set(err, -ETIMEDOUT, NULL, 0, "nothing came for two minutes");
		r = sensor->ops->dispatch(sensor, on_events, log, err);
	} while (r > 0);
	sensor->ops->stats(sensor, &log->stats);
	log->status = sensor->exit_status;
	return r;
}

static int sense(const char *name, const struct target *target, struct log *log, struct errmsg *err)
{
	struct sensor_config config = {
		.targets = target, .n_targets = 1, .follow_fork = true, .follow_exec = true, .origins = true, .sites = true,
	};
	struct sensor *sensor;
	int r = sensor_open(name, &config, &sensor, err);

	if (r < 0)
		return r;
	r = drain(sensor, log, err);
	if (r >= 0 && !strcmp(name, "ptrace")) {
		for (size_t i = 0; i < log->n; i++) {
			const struct event *event = &log->events[i];

			if (event->kind == EVENT_CALL && EVENT_ORIGIN(event->origin) == ORIGIN_FILE &&
			    !modules_get(&sensor->modules, SITE_MODULE(event->site)))
				r = errmsg_set(err, -EBADMSG, NULL, 0, "event %zu comes from a file that is not in the table", i);
		}
	}
	sensor_close(sensor);
	return r;
}

/* Records with ptrace in the format that the name asks for, then plays the recording. */
static int sense_replay(const struct target *target, struct log *log, struct errmsg *err)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	const struct target file = { .kind = TARGET_FILE, .name = trace_path };
	const struct trace_info info = { .arch = arch_native(), .sensor = "ptrace" };
	struct log live = { 0 };
	int r = sense("ptrace", target, &live, err);

	if (r >= 0)
		r = trace_writer_open(trace_path, TRACE_AUTO, &info, NULL, &writer, err);
	if (r >= 0)
		r = trace_writer_write(writer, live.events, live.n, err);
	if (r >= 0)
		r = trace_writer_finish(writer, err);
	if (r >= 0)
		r = sense("replay", &file, log, err);
	log->status = live.status;
	log->stats.lost += live.stats.lost;
	if (r >= 0 && log->n != live.n)
		r = errmsg_set(err, -EBADMSG, NULL, 0, "recorded %zu events, played %zu", live.n, log->n);
	for (size_t i = 0; r >= 0 && i < log->n; i++) {
		const struct event *a = &live.events[i], *b = &log->events[i];

		if (a->kind != b->kind || a->tid != b->tid || (a->kind == EVENT_CALL && (a->call != b->call || a->origin != b->origin)) ||
		    (a->kind != EVENT_CALL && a->kind != EVENT_EXIT && (a->parent != b->parent || a->pid != b->pid)))
			r = errmsg_set(err, -EBADMSG, NULL, 0, "event %zu is another one when played", i);
	}
	free(live.events);
	return r;
}

/* Where a thread stands: in the reported events, and in its notes. */
struct thread {
	bool live, seen, skipping; /* skipping: libc's own calls, up to the next mark */
	uint32_t parent;
	size_t note;  /* index in the journal behind its last matched note */
	bool noted;   /* has a first note been matched? */
};

static char complaint[256];

static bool complain(const char *what, size_t at, const struct event *event)
{
	snprintf(complaint, sizeof(complaint), "%s (event %zu: kind %u, thread %u, call %u, origin %#x)", what, at, event->kind,
		 event->tid, event->call, event->origin);
	return false;
}

/* The thread's next note from index on; JOURNAL_ENTRIES if there is none. */
static size_t next_note(uint32_t tid, size_t from)
{
	size_t n = MIN(atomic_load(&journal->n), (unsigned)JOURNAL_ENTRIES);

	while (from < n && journal->entries[from].tid != tid)
		from++;
	return from < n ? from : JOURNAL_ENTRIES;
}

static bool check_call(struct thread *thread, size_t at, const struct event *event)
{
	size_t next;
	const struct journal_entry *note;

	if (thread->skipping) {
		if (event->call != JOURNAL_MARK)
			return true;
		thread->skipping = false;
	}
	next = next_note(event->tid, thread->note);
	if (next == JOURNAL_ENTRIES && !thread->noted && event->call == SYS_gettid)
		return true; /* killed between its first call and the note of it */
	if (next == JOURNAL_ENTRIES)
		return complain("a call that was not made", at, event);
	note = &journal->entries[next];
	if (note->call != event->call)
		return complain("another call than the one made", at, event);
	if (EVENT_ABI(note->origin) != EVENT_ABI(event->origin))
		return complain("another ABI", at, event);
	if (EVENT_ORIGIN(note->origin) != EVENT_ORIGIN(event->origin) &&
	    (EVENT_ORIGIN(event->origin) != ORIGIN_UNKNOWN || !strcmp(sensor_name, "ptrace")))
		return complain("another origin", at, event);
	/* Nobody knows who made it if the maker was killed before it could be asked. */
	if (!thread->noted && note->parent && note->parent != thread->parent && thread->parent)
		return complain("made by another thread", at, event);
	thread->noted = true;
	thread->note = next + 1;
	return true;
}

static bool check_event(struct thread_table *threads, size_t at, const struct event *event)
{
	bool is_new;
	struct thread *thread = thread_table_get(threads, event->tid, &is_new), *former;

	switch (event->kind) {
	case EVENT_FORK:
	case EVENT_ATTACH:
		if (thread->live)
			return complain("begins twice", at, event);
		*thread = (struct thread){ .live = true, .seen = true, .parent = event->parent, .note = thread->note };
		return event->pid ? true : complain("of no process", at, event);
	case EVENT_EXEC:
		former = event->parent ? thread_table_find(threads, event->parent) : thread;
		if (at && (!former || !former->live))
			return complain("exec of a thread that is not there", at, event);
		if (event->parent) {
			if (thread->live)
				return complain("exec over a leader that has not ended", at, event);
			former->live = false;
		}
		thread->live = thread->seen = thread->skipping = true;
		/* Whatever the leader noted before it was done away with can be missing. */
		while (next_note(event->tid, thread->note) != JOURNAL_ENTRIES &&
		       journal->entries[next_note(event->tid, thread->note)].call != JOURNAL_MARK)
			thread->note = next_note(event->tid, thread->note) + 1;
		return true;
	case EVENT_EXIT:
		if (!thread->live)
			return complain("ends twice", at, event);
		thread->live = false;
		return true;
	case EVENT_CALL:
		if (!thread->live)
			return complain("a call of a thread that is not there", at, event);
		return check_call(thread, at, event);
	default:
		return complain("unexpected", at, event);
	}
}

/* At the end every thread has ended, and no note but perhaps its last one (if it was killed) is left over. */
static void check_thread(void *data, uint32_t tid, void *record)
{
	const struct thread *thread = record;
	bool *good = data;
	size_t next = next_note(tid, thread->note);

	if (!*good)
		return;
	if (thread->live) {
		snprintf(complaint, sizeof(complaint), "thread %u never ends", tid);
		*good = false;
	} else if (next != JOURNAL_ENTRIES && next_note(tid, next + 1) != JOURNAL_ENTRIES) {
		snprintf(complaint, sizeof(complaint), "thread %u: its call %u (note %zu) was not reported", tid,
			 journal->entries[next].call, next);
		*good = false;
	}
}

static bool check_log(const struct log *log)
{
	_cleanup_(thread_table_freep) struct thread_table *threads = thread_table_new(sizeof(struct thread));
	bool good = true;

	*complaint = '\0';
	for (size_t i = 0; i < log->n && good; i++)
		good = check_event(threads, i, &log->events[i]);
	thread_table_each(threads, check_thread, &good);
	if (good)
		for (unsigned i = 0; i < journal->n; i++)
			if (journal->entries[i].tid && !thread_table_find(threads, journal->entries[i].tid)) {
				snprintf(complaint, sizeof(complaint), "thread %u was not seen at all", journal->entries[i].tid);
				good = false;
				break;
			}
	return good;
}

static void check_scenario(const char *scenario, int expected_status)
{
	char *argv[] = { tracee_path, (char *)scenario, journal_path, NULL };
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	struct log log = { 0 };
	struct errmsg err = { 0 };
	int r;
	bool good;

	journal_clear();
	r = !strcmp(sensor_name, "replay") ? sense_replay(&target, &log, &err) : sense(sensor_name, &target, &log, &err);
	good = r >= 0 && check_log(&log);
	ok(good, "%s: every call once, in order, by the right thread, from the right place", scenario);
	if (!good)
		printf("# %s%s\n", r < 0 ? err.text : "", complaint);
	ok(r >= 0 && !log.stats.lost, "%s: nothing lost", scenario);
	ok(!journal->failed, "%s: the application noticed nothing (%u)", scenario, journal->failed);
	if (log.status != -1)
		ok(log.status == expected_status, "%s: it ends as without a sensor (%#x)", scenario, log.status);
	free(log.events);
}

#define EXITED(status) ((status) << 8)

static const struct {
	const char *name;
	int status;
} scenarios[] = {
	{ "calls", EXITED(7) },
	{ "forks", 0 },
	{ "vforks", 0 },
	{ "threads", 0 },
	{ "exec", EXITED(7) },
	{ "exec-thread-asleep", EXITED(7) },
	{ "exec-thread-busy", EXITED(7) },
	{ "exec-thread-busy", EXITED(7) },
	{ "exec-thread-busy", EXITED(7) },
	{ "signals", SIGTERM },
	{ "stops", 0 },
	{ "storm", 0 },
	{ "kills", 0 },
	{ "exit-group", EXITED(3) },
	{ "leader-exit", EXITED(5) },
	{ "foreign", 0 },
	{ "compat", 0 },
};

/* Can 32-bit calls be made here? If not, int 0x80 is fatal on x86, and a 32-bit program is none elsewhere. */
static bool has_compat(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	int status;
	pid_t pid = fork();

	if (!pid) {
#ifdef __x86_64__
		long r;

		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
		_exit(r > 0 ? 0 : 1);
#else
		if (compat_program(arm_path))
			execl(arm_path, arm_path, (char *)NULL);
		_exit(1);
#endif
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
#else
	return false;
#endif
}

static pid_t start_tracee(const char *scenario)
{
	pid_t pid;

	journal_clear();
	pid = fork();
	if (!pid) {
		execl(tracee_path, tracee_path, scenario, journal_path, (char *)NULL);
		_exit(67);
	}
	while (!atomic_load(&journal->ready))
		usleep(1000);
	return pid;
}

static void pump(struct sensor *sensor, struct log *log, int rounds)
{
	struct errmsg err;

	for (int i = 0; i < rounds; i++) {
		struct pollfd ready = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		poll(&ready, 1, 20);
		if (sensor->ops->dispatch(sensor, on_events, log, &err) <= 0)
			break;
	}
}

static bool progresses(void)
{
	unsigned long before = atomic_load(&journal->progress);

	for (int i = 0; i < 60000 && atomic_load(&journal->progress) < before + 10; i++)
		usleep(1000);
	return atomic_load(&journal->progress) >= before + 10;
}

static int open_pid(pid_t pid, struct sensor **ret_sensor, struct errmsg *err)
{
	const struct target target = { .kind = TARGET_PID, .pid = pid };
	const struct sensor_config config = { .targets = &target, .n_targets = 1, .follow_exec = true, .origins = true };

	return sensor_open(sensor_name, &config, ret_sensor, err);
}

/* Attaches, again and again, to a process whose threads come and go, and lets go of it. */
static void check_attach(void)
{
	pid_t pid = start_tracee("server");
	struct errmsg err = { 0 };
	bool opened = true, begins = true, goes_on = true;
	int status;

	for (int round = 0; round < 15 && opened; round++) {
		_cleanup_(thread_table_freep) struct thread_table *threads = thread_table_new(1);
		struct log log = { 0 };
		struct sensor *sensor;
		bool is_new;

		opened = open_pid(pid, &sensor, &err) >= 0;
		if (!opened)
			break;
		pump(sensor, &log, 10);
		sensor_close(sensor);
		for (size_t i = 0; i < log.n; i++) {
			const struct event *event = &log.events[i];

			if (!event->tid) /* a gap of whoever it was */
				continue;
			thread_table_get(threads, event->tid, &is_new);
			if (is_new != (event->kind == EVENT_ATTACH || event->kind == EVENT_FORK)) {
				begins = false;
				printf("# round %d, event %zu of %zu: kind %u of thread %u, which %s\n", round, i, log.n, event->kind,
				       event->tid, is_new ? "had not begun" : "had begun already");
			}
			if (event->kind == EVENT_EXIT)
				thread_table_remove(threads, event->tid);
		}
		if (!log.n) {
			begins = false;
			printf("# round %d: no event\n", round);
		}
		free(log.events);
		goes_on &= progresses();
	}
	ok(opened, "attaches to a process whose threads come and go%s%s", opened ? "" : ": ", opened ? "" : err.text);
	ok(begins, "every thread begins with ATTACH or FORK");
	ok(goes_on, "the process goes on after the sensor was closed");
	atomic_store(&journal->go, 1);
	waitpid(pid, &status, 0);
	ok(status == EXITED(42), "and ends by itself");
}

/* A sensor that is not dispatched must not hold up the application, and must say how much was lost. */
static void check_not_dispatched(void)
{
	const unsigned long made = 270000;
	pid_t pid = start_tracee("count");
	struct errmsg err = { 0 };
	struct log log = { 0 };
	struct sensor *sensor;
	uint64_t calls = 0, lost = 0;

	if (!ok(open_pid(pid, &sensor, &err) >= 0, "opens")) {
		kill(pid, SIGKILL);
		return;
	}
	pump(sensor, &log, 3);
	log.n = 0;
	atomic_store(&journal->go, made);
	for (int i = 0; i < 200000 && atomic_load(&journal->progress) < made; i++)
		usleep(1000);
	ok(atomic_load(&journal->progress) == made, "an application whose sensor nobody reads goes on");
	ok(drain(sensor, &log, &err) >= 0, "what was kept is delivered then");
	for (size_t i = 0; i < log.n; i++) {
		calls += log.events[i].kind == EVENT_CALL && log.events[i].call == SYS_getppid;
		lost += log.events[i].kind == EVENT_GAP ? log.events[i].lost : 0;
	}
	ok(lost == log.stats.lost, "gaps and statistics agree");
	ok(calls + lost >= made && calls + lost <= made + 10, "and the gap says what is missing (%llu + %llu)",
	   (unsigned long long)calls, (unsigned long long)lost);
	sensor_close(sensor);
	waitpid(pid, NULL, 0);
	free(log.events);
}

static void setup(const char *tracee)
{
	int fd;

	if (!realpath(tracee, tracee_path) || !mkdtemp(scratch)) {
		perror("contract");
		exit(99);
	}
	snprintf(journal_path, sizeof(journal_path), "%s/journal", scratch);
	snprintf(arm_path, sizeof(arm_path), "%s.arm", journal_path);
	snprintf(trace_path, sizeof(trace_path), "%s/trace", scratch);
	fd = open(journal_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*journal)) < 0) {
		perror("contract");
		exit(99);
	}
	journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static void cleanup(void)
{
	unlink(journal_path);
	unlink(arm_path);
	unlink(trace_path);
	rmdir(scratch);
}

int main(int argc, char **argv)
{
	char *probe[] = { (char *)"true", NULL };
	const struct target target = { .kind = TARGET_COMMAND, .argv = probe };
	struct log log = { 0 };
	struct errmsg err = { 0 };
	bool replay;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: contract SENSOR TRACEE [SCENARIO]\n");
		return 99;
	}
	sensor_name = argv[1];
	replay = !strcmp(sensor_name, "replay");
	setup(argv[2]);
	r = sense(replay ? "ptrace" : sensor_name, &target, &log, &err);
	free(log.events);
	if (r == -EPERM || r == -EACCES || r == -EOPNOTSUPP || r == -ENOSYS) {
		cleanup();
		tap_skip_all(err.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
#ifndef HAVE_CODE
		if (!strcmp(scenarios[i].name, "foreign"))
			continue;
#endif
		if (!strcmp(scenarios[i].name, "compat") && !has_compat()) {
			ok(true, "compat: # SKIP no 32-bit calls on this machine");
			continue;
		}
		if (argc == 3 || !strcmp(argv[3], scenarios[i].name))
			check_scenario(scenarios[i].name, scenarios[i].status);
	}
	if (!replay && (argc == 3 || !strcmp(argv[3], "attach")))
		check_attach();
	if (!replay && (argc == 3 || !strcmp(argv[3], "not-dispatched")))
		check_not_dispatched();
	cleanup();
	return tap_done();
}
