/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ptrace sensor alone promises: clear refusals, and an application that is the same after it as before. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "code.h"
#include "journal.h"
#include "sensor/sensor.h"
#include "tap.h"

static char journal_path[] = "/tmp/imsafe-ptrace-XXXXXX";
static const char *tracee_path;
static struct journal *journal;

static int open_target(const struct target *target, struct sensor **ret_sensor, struct errmsg *err)
{
	const struct sensor_config config = { .targets = target, .n_targets = 1, .origins = true };

	return sensor_open("ptrace", &config, ret_sensor, err);
}

static int open_pid(pid_t pid, struct sensor **ret_sensor, struct errmsg *err)
{
	return open_target(&(struct target){ .kind = TARGET_PID, .pid = pid }, ret_sensor, err);
}

static void refused(pid_t pid, int error, const char *words)
{
	struct sensor *sensor;
	struct errmsg err = { 0 };
	int r = open_pid(pid, &sensor, &err);

	if (!ok(r == error && strstr(err.text, words), "refused: %s", words))
		printf("# %d: %s\n", r, err.text);
	if (r >= 0)
		sensor_close(sensor);
}

static pid_t start_tracee(const char *scenario)
{
	pid_t pid;

	memset(journal, 0, offsetof(struct journal, entries));
	pid = fork();
	if (!pid) {
		execl(tracee_path, tracee_path, scenario, journal_path, (char *)NULL);
		_exit(67);
	}
	while (!atomic_load(&journal->ready))
		usleep(1000);
	return pid;
}

static char state_of(pid_t pid)
{
	char path[64], line[256], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "State: %c", &state);
	if (file)
		fclose(file);
	return state;
}

static int tracer_of(pid_t pid)
{
	char path[64], line[256];
	int tracer = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "TracerPid: %d", &tracer);
	if (file)
		fclose(file);
	return tracer;
}

static bool becomes(pid_t pid, char state)
{
	for (int i = 0; i < 5000 && state_of(pid) != state; i++)
		usleep(1000);
	return state_of(pid) == state;
}

/* Until all other threads of a process, as sanitizers have them, are gone. */
static void is_alone(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	for (int i = 0; i < 5000 && !stat(path, &st) && st.st_nlink != 3; i++)
		usleep(1000);
}

static bool progresses(void)
{
	unsigned long before = atomic_load(&journal->progress);

	for (int i = 0; i < 60000 && atomic_load(&journal->progress) < before + 5; i++)
		usleep(1000);
	return atomic_load(&journal->progress) >= before + 5;
}

static int ignore(void *data, const struct event *events, size_t n)
{
	return 0;
}

/*
 * A process that has begun to end and cannot go on: first of a namespace, it waits for all others there, one of which is a
 * zombie until its own parent, outside, is told to collect it. Says its id into the pipe.
 */
static _Noreturn void keep_ending(int told, int say)
{
	pid_t first, second;
	int joined[2];
	char byte;

	if (pipe(joined) < 0 || unshare(CLONE_NEWPID | (geteuid() ? CLONE_NEWUSER : 0)) < 0)
		_exit(1);
	/* Not by fork(), after which a sanitizer may give it a second thread. */
	first = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!first) {
		close(joined[1]); /* nobody joins a namespace whose first process is ending: it waits for the second one */
		_exit(read(joined[0], &byte, 1) != 0);
	}
	second = fork();
	if (!second)
		_exit(0);
	close(joined[1]);
	if (write(say, &first, sizeof(first)) != sizeof(first) || read(told, &byte, 1) != 1)
		_exit(1);
	_exit(waitpid(second, NULL, 0) == second && waitpid(first, NULL, 0) == first ? 0 : 1);
}

static bool has_memory(pid_t pid)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found |= !strncmp(line, "VmSize:", 7);
	if (file)
		fclose(file);
	return found;
}

static void check_ending(void)
{
	int tell[2], say[2], status;
	pid_t keeper, pid;

	if (pipe(tell) < 0 || pipe(say) < 0)
		abort();
	keeper = fork();
	if (!keeper) {
		close(tell[1]);
		keep_ending(tell[0], say[1]);
	}
	close(say[1]);
	if (read(say[0], &pid, sizeof(pid)) != sizeof(pid)) {
		printf("ok %u - about to end # SKIP no namespaces of processes here\n", ++tap_count);
	} else {
		for (int i = 0; i < 5000 && has_memory(pid); i++)
			usleep(1000);
		refused(pid, -ESRCH, "is about to end");
		if (write(tell[1], "", 1) != 1)
			abort();
	}
	waitpid(keeper, &status, 0);
	close(say[0]);
	close(tell[0]);
	close(tell[1]);
}

static void check_refusals(void)
{
	pid_t pid, other = start_tracee("server"), tracer;
	int go[2];
	char byte;

	pid = fork();
	if (!pid)
		_exit(0);
	becomes(pid, 'Z');
	is_alone(pid);
	refused(pid, -ESRCH, "zombie");
	waitpid(pid, NULL, 0);
	refused(pid, -ESRCH, "there is no process");
	refused(getpid(), -EINVAL, "cannot trace itself");
	if (!geteuid() && state_of(2) != '?')
		refused(2, -EINVAL, "kernel thread");

	if (pipe(go) < 0)
		abort();
	tracer = fork();
	if (!tracer) {
		ptrace(PTRACE_SEIZE, other, 0, 0);
		if (write(go[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	if (read(go[0], &byte, 1) != 1)
		abort();
	refused(other, -EBUSY, "is already traced by ptrace");
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);

	if (!geteuid() && getpwnam("nobody")) {
		uid_t nobody = getpwnam("nobody")->pw_uid;
		int status;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			if (setresuid(nobody, nobody, nobody) < 0)
				_exit(1);
			refused(other, -EPERM, "belongs to user 0");
			fflush(stdout);
			_exit(tap_failed ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		tap_count++; /* the child's */
		tap_failed += status != 0;
	}
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);

	for (int i = 0; i < 2; i++) {
		char *argv[] = { (char *)(i ? "/etc/passwd" : "/nonexistent/program"), NULL };
		struct sensor *sensor;
		struct errmsg err = { 0 };

		ok(open_target(&(struct target){ .kind = TARGET_COMMAND, .argv = argv }, &sensor, &err) < 0 &&
		   strstr(err.text, i ? "Permission denied" : "No such file"), "refused: %s", err.text);
	}
	ok(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no process is left over");
}

static int go_exec[2];

static void *exec_when_told(void *data)
{
	char byte;

	if (read(go_exec[0], &byte, 1) == 1)
		execl("/bin/true", "true", (char *)NULL);
	_exit(99);
}

struct seen_exec {
	pid_t pid;
	bool ran, early; /* early: the leader that had ended before we came ends once more */
	bool ended;
};

static int see_exec(void *data, const struct event *events, size_t n)
{
	struct seen_exec *seen = data;

	for (size_t i = 0; i < n; i++) {
		if (events[i].kind == EVENT_EXEC && events[i].tid == (uint32_t)seen->pid && events[i].parent)
			seen->ran = true;
		if (events[i].kind == EVENT_EXIT && events[i].tid == (uint32_t)seen->pid)
			*(seen->ran ? &seen->ended : &seen->early) = true;
	}
	return 0;
}

/* A process whose first thread has ended is followed when another of its threads runs a program. */
static void check_leaderless(void)
{
	struct seen_exec seen = { 0 };
	struct errmsg err = { 0 };
	struct sensor *sensor;
	int r;

	if (pipe(go_exec) < 0)
		abort();
	seen.pid = fork();
	if (!seen.pid) {
		pthread_t thread;

		if (!pthread_create(&thread, NULL, exec_when_told, NULL))
			syscall(SYS_exit, 0);
		_exit(98);
	}
	becomes(seen.pid, 'Z');
	r = sensor_open("ptrace", &(struct sensor_config){ .targets = &(struct target){ .kind = TARGET_PID, .pid = seen.pid },
							   .n_targets = 1, .follow_exec = true }, &sensor, &err);
	if (!ok(r >= 0, "attaches to a process whose first thread has ended")) {
		kill(seen.pid, SIGKILL);
		goto out;
	}
	if (write(go_exec[1], "", 1) != 1)
		abort();
	for (r = 1; r > 0;) {
		struct pollfd fd = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		r = sensor->ops->dispatch(sensor, see_exec, &seen, &err);
		if (r > 0)
			poll(&fd, 1, -1);
	}
	if (!ok(!r && seen.ran && seen.ended && !seen.early, "follows it when another runs a program, to its end"))
		printf("# %d: %s\n", r, err.text);
	sensor_close(sensor);
out:
	waitpid(seen.pid, NULL, 0);
	close(go_exec[0]);
	close(go_exec[1]);
}

/* Attached to while it is stopped by job control, a process stays stopped; let go of, too. */
static void check_stopped(void)
{
	pid_t pid = start_tracee("server");
	struct sensor *sensor;
	struct errmsg err = { 0 };

	kill(pid, SIGSTOP);
	becomes(pid, 'T');
	if (!ok(open_pid(pid, &sensor, &err) >= 0, "attaches to a stopped process"))
		goto out;
	usleep(50000);
	sensor->ops->dispatch(sensor, ignore, NULL, &err);
	atomic_store(&journal->progress, 0);
	usleep(20000);
	ok(!atomic_load(&journal->progress), "which stays stopped");
	kill(pid, SIGCONT);
	ok(progresses(), "goes on at SIGCONT");
	kill(pid, SIGSTOP);
	usleep(50000);
	sensor_close(sensor);
	ok(becomes(pid, 'T') && !tracer_of(pid), "and stays stopped when it is let go");
	kill(pid, SIGCONT);
	ok(progresses(), "until SIGCONT");
out:
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A process that traces pid until it is killed, or told to stop by SIGTERM. */
static pid_t start_tracer(pid_t pid)
{
	int ready[2];
	char byte;
	pid_t tracer;

	if (pipe(ready) < 0)
		abort();
	tracer = fork();
	if (!tracer) {
		struct sensor *sensor;
		struct errmsg err = { 0 };
		sigset_t term;
		int r;

		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
		r = open_pid(pid, &sensor, &err);
		if (r < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		while (sigtimedwait(&term, NULL, &(struct timespec){ 0 }) < 0) {
			struct pollfd fd = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

			poll(&fd, 1, 5);
			sensor->ops->dispatch(sensor, ignore, NULL, &err);
		}
		sensor_close(sensor);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		tracer = -1;
	close(ready[0]);
	return tracer;
}

/* Signals keep arriving while sensors come, and go by either way. */
static void check_signals(int how, const char *name)
{
	pid_t pid = start_tracee("receiver");
	unsigned sent = 0, refusals = 0, rounds = 20;
	int status;

	for (unsigned round = 0; round < rounds; round++) {
		pid_t tracer = start_tracer(pid);

		if (tracer < 0) {
			refusals++;
			continue;
		}
		for (int i = 0; i < 20; i++) {
			sent += !sigqueue(pid, SIGRTMIN, (union sigval){ 0 });
			if (i == 15)
				kill(tracer, how);
			usleep(200);
		}
		waitpid(tracer, NULL, 0);
	}
	for (int i = 0; i < 5000 && atomic_load(&journal->progress) < sent; i++)
		usleep(1000);
	ok(!refusals, "%s: sensors can be started again and again", name);
	/* A signal of which a killed tracer had been told but not yet disposed is lost with it: no tracer can do better. */
	ok(atomic_load(&journal->progress) <= sent && atomic_load(&journal->progress) + (how == SIGKILL ? rounds : 0) >= sent,
	   "%s: signals arrive (%lu of %u)", name, atomic_load(&journal->progress), sent);
	ok(state_of(pid) != 'Z' && !tracer_of(pid), "%s: the process goes on, untraced", name);
	atomic_store(&journal->go, 1);
	waitpid(pid, &status, 0);
	ok(status == 0, "%s: and ends by itself", name);
}

static bool has_event(const struct event *events, size_t n, enum event_kind kind)
{
	for (size_t i = 0; i < n; i++)
		if (events[i].kind == kind)
			return true;
	return false;
}

struct few {
	struct event events[4096];
	size_t n;
};

static int keep(void *data, const struct event *events, size_t n)
{
	struct few *few = data;

	for (size_t i = 0; i < n && few->n < ARRAY_SIZE(few->events); i++)
		few->events[few->n++] = events[i];
	return 0;
}

static int run_command(struct sensor_config *config, char **argv, struct few *few, int *ret_status)
{
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	struct errmsg err = { 0 };
	struct sensor *sensor;
	int r;

	config->targets = &target;
	config->n_targets = 1;
	few->n = 0;
	r = sensor_open("ptrace", config, &sensor, &err);
	if (r < 0)
		return r;
	do {
		struct pollfd fd = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		poll(&fd, 1, 60000);
		r = sensor->ops->dispatch(sensor, keep, few, &err);
	} while (r > 0);
	*ret_status = sensor->exit_status;
	sensor_close(sensor);
	return r;
}

static void check_command(void)
{
	static struct few few;
	struct sensor_config config = { .follow_exec = true };
	char *tracer[] = { (char *)"sh", (char *)"-c", (char *)"(grep -q '^TracerPid:.0$' /proc/self/status); exit $?", NULL };
	char *exec[] = { (char *)"sh", (char *)"-c", (char *)"exec sh -c 'exit 5'", NULL };
	char line[256], blocks[256] = "?", ignores[256] = "?";
	char *mask[] = { (char *)"grep", (char *)"-qF", blocks, (char *)"/proc/self/status", NULL };
	char *ignored[] = { (char *)"grep", (char *)"-qF", ignores, (char *)"/proc/self/status", NULL };
	FILE *file = fopen("/proc/self/status", "re");
	int status;

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6))
			snprintf(line[3] == 'B' ? blocks : ignores, sizeof(line), "%s", line);
	}
	if (file)
		fclose(file);
	ok(run_command(&config, tracer, &few, &status) >= 0 && status == 0, "children that are not followed are not touched");
	ok(!has_event(few.events, few.n, EVENT_FORK), "nor reported");
	ok(run_command(&config, exec, &few, &status) >= 0 && status == 5 << 8, "a command's status is known");
	config.follow_exec = false;
	ok(run_command(&config, exec, &few, &status) >= 0 && few.n > 2 && few.events[few.n - 1].kind == EVENT_EXIT &&
	   few.events[few.n - 2].call == SYS_execve, "without follow_exec the last of it is its execve");
	config.follow_exec = true;
	ok(run_command(&config, mask, &few, &status) >= 0 && status == 0, "a command has the same signals blocked as we");
	ok(run_command(&config, ignored, &few, &status) >= 0 && status == 0, "and the same ignored");
}

#ifdef HAVE_CODE
static int kill_foreign(void *data, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (events[i].kind == EVENT_CALL && event_is_foreign(events[i].origin))
			kill((pid_t)events[i].tid, SIGKILL);
	return 0;
}

/* Whoever kills at a foreign call prevents it, and all that would have come after. */
static void check_prevention(void)
{
	char *argv[] = { (char *)tracee_path, (char *)"foreign", journal_path, NULL };
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	struct errmsg err = { 0 };
	struct sensor *sensor;
	unsigned foreign = 0;

	memset(journal, 0, offsetof(struct journal, entries));
	if (!ok(open_target(&target, &sensor, &err) >= 0, "a program with foreign calls"))
		return;
	for (int r = 1; r > 0;) {
		struct pollfd fd = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

		poll(&fd, 1, 60000);
		r = sensor->ops->dispatch(sensor, kill_foreign, NULL, &err);
	}
	ok(WIFSIGNALED(sensor->exit_status), "killed from the callback");
	sensor_close(sensor);
	for (unsigned i = 0; i < journal->n; i++)
		foreign += EVENT_ORIGIN(journal->entries[i].origin) >= ORIGIN_ANON;
	ok(foreign == 1 && EVENT_ORIGIN(journal->entries[journal->n - 1].origin) >= ORIGIN_ANON,
	   "did not get past its first foreign call (%u)", foreign);
}
#endif

int main(int argc, char **argv)
{
	struct sensor *sensor;
	struct errmsg err = { 0 };
	char *probe[] = { (char *)"true", NULL };
	int fd, r;

	if (argc < 2)
		return 99;
	r = open_target(&(struct target){ .kind = TARGET_COMMAND, .argv = probe }, &sensor, &err);
	if (r < 0)
		tap_skip_all(err.text);
	while (sensor->ops->dispatch(sensor, ignore, NULL, &err) > 0)
		usleep(1000);
	sensor_close(sensor);
	tracee_path = argv[1];
	fd = mkstemp(journal_path);
	if (fd < 0 || ftruncate(fd, sizeof(*journal)) < 0)
		return 99;
	journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	check_refusals();
	check_ending();
	check_leaderless();
	check_stopped();
	check_signals(SIGTERM, "closed");
	check_signals(SIGKILL, "killed");
	check_command();
#ifdef HAVE_CODE
	check_prevention();
#endif
	unlink(journal_path);
	return tap_done();
}
