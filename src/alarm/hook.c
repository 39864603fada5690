/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm/hook.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"

extern char **environ;

void hook_init(struct hook *hook, const char *command, bool silent)
{
	*hook = (struct hook){ .command = command, .silent = silent, .pidfd = -1 };
}

static void forget_command(struct hook *hook)
{
	hook->pid = 0;
	closep(&hook->pidfd);
	hook->pidfd = -1;
}

void hook_done(struct hook *hook)
{
	forget_command(hook);
	for (; hook->queued; hook->queued--)
		json_decref(hook->queue[hook->queue_at++ % HOOK_QUEUE]);
}

/* The alarm as a file of memory: the command may read it or not, at its own pace. */
static int alarm_file(json_t *alarm)
{
	_cleanup_close_ int fd = memfd_create("imsafe-alarm", MFD_CLOEXEC);
	_cleanup_free_ char *text = json_dumps(alarm, JSON_COMPACT | JSON_REAL_PRECISION(6));
	size_t length, done = 0;

	if (fd < 0)
		return -errno;
	if (!text)
		return -ENOMEM;
	length = strlen(text);
	text[length++] = '\n'; /* in place of the final NUL */
	while (done < length) {
		ssize_t n = write(fd, text + done, length - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

/* The members of the alarm that become variables. Their texts are escaped already; "" when there is none. */
static const struct {
	const char *variable, *group, *member;
} variables[] = {
	{ "IMSAFE_ALARM", NULL, "alarm" },
	{ "IMSAFE_HEADLINE", NULL, "headline" },
	{ "IMSAFE_KIND", NULL, "kind" },
	{ "IMSAFE_TIME", NULL, "time" },
	{ "IMSAFE_GROUP", NULL, "group" },
	{ "IMSAFE_GROUP_ALARMS", NULL, "group_alarms" },
	{ "IMSAFE_REPEAT", NULL, "repeat" },
	{ "IMSAFE_NEWS", NULL, "news" },
	{ "IMSAFE_SEQUENCE", NULL, "sequence" },
	{ "IMSAFE_PID", NULL, "pid" },
	{ "IMSAFE_TID", NULL, "tid" },
	{ "IMSAFE_MEAN", NULL, "mean" },
	{ "IMSAFE_THRESHOLD", NULL, "threshold" },
	{ "IMSAFE_TAINTED", NULL, "tainted" },
	{ "IMSAFE_PROFILE", NULL, "profile" },
	{ "IMSAFE_APPLICATION", NULL, "application" },
	{ "IMSAFE_PROGRAM", "process", "name" },
	{ "IMSAFE_EXE", "process", "exe" },
	{ "IMSAFE_USER", "process", "user" },
	{ "IMSAFE_CGROUP", "process", "cgroup" },
};

static char *variable_text(const char *name, json_t *value)
{
	char *text = NULL;
	int r;

	if (json_is_string(value))
		r = asprintf(&text, "%s=%s", name, json_string_value(value));
	else if (json_is_integer(value))
		r = asprintf(&text, "%s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
	else if (json_is_real(value))
		r = asprintf(&text, "%s=%.2f", name, json_real_value(value));
	else
		r = asprintf(&text, "%s=%s", name, json_is_true(value) ? "1" : json_is_false(value) ? "0" : "");
	return r < 0 ? NULL : text;
}

static void free_environment(char **environment)
{
	if (environment)
		for (char **at = environment; *at; at++)
			free(*at);
	free(environment);
}

/* Ours without IMSAFE_ variables of before, and those of the alarm. */
static char **make_environment(json_t *alarm, uint64_t skipped)
{
	size_t n = ARRAY_SIZE(variables) + 2, at = 0;
	char **environment;
	bool complete = true;

	for (char **old = environ; *old; old++)
		n++;
	environment = calloc(n, sizeof(*environment));
	if (!environment)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(variables) && complete; i++) {
		json_t *from = variables[i].group ? json_object_get(alarm, variables[i].group) : alarm;

		environment[at] = variable_text(variables[i].variable, json_object_get(from, variables[i].member));
		complete = environment[at++] != NULL;
	}
	complete = complete && asprintf(&environment[at], "IMSAFE_SKIPPED=%" PRIu64, skipped) >= 0;
	at += complete;
	for (char **old = environ; *old && complete; old++)
		if (strncmp(*old, "IMSAFE_", 7)) {
			environment[at] = strdup(*old);
			complete = environment[at++] != NULL;
		}
	if (!complete) {
		free_environment(environment);
		return NULL;
	}
	return environment;
}

static int spawn(struct hook *hook, int input, char **environment)
{
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)hook->command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	/* A group of its own: Ctrl-C on our terminal is not meant for it. Signals are as a shell would find them. */
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!r && hook->silent)
		r = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	if (!r)
		r = posix_spawn(&hook->pid, "/bin/sh", &actions, &attributes, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int start(struct hook *hook, json_t *alarm)
{
	_cleanup_close_ int input = alarm_file(alarm);
	char **environment = make_environment(alarm, hook->skipped_since);
	int r = input < 0 ? input : !environment ? -ENOMEM : spawn(hook, input, environment);

	free_environment(environment);
	if (r < 0) {
		hook->pid = 0;
		hook->failed++;
		return r;
	}
	hook->skipped_since = 0;
	hook->runs++;
	hook->pidfd = (int)syscall(SYS_pidfd_open, hook->pid, 0);
	return 1;
}

int hook_run(struct hook *hook, json_t *alarm, bool wait, struct errmsg *err)
{
	int r;

	if (hook_reap(hook)) {
		if (wait && hook->queued < HOOK_QUEUE) {
			hook->queue[(hook->queue_at + hook->queued++) % HOOK_QUEUE] = json_incref(alarm);
		} else {
			hook->skipped++;
			hook->skipped_since++;
		}
		return 0;
	}
	r = start(hook, alarm);
	return r < 0 ? errmsg_errno(err, r, NULL, "the command of --exec cannot be started") : r;
}

/* Those that cannot be started are counted as failed. */
static int start_next(struct hook *hook)
{
	while (hook->queued) {
		json_t *alarm = hook->queue[hook->queue_at++ % HOOK_QUEUE];
		int r = start(hook, alarm);

		hook->queued--;
		json_decref(alarm);
		if (r > 0)
			return 1;
	}
	return 0;
}

int hook_reap(struct hook *hook)
{
	int status = 0;
	pid_t r;

	if (!hook->pid)
		return start_next(hook);
	r = waitpid(hook->pid, &status, WNOHANG);
	if (!r)
		return 1;
	/* Reaped by someone else who waits for all children: it has ended, how is not known. */
	if (r == hook->pid) {
		hook->status = status;
		hook->failed += status != 0;
	}
	forget_command(hook);
	return start_next(hook);
}

int hook_wait(struct hook *hook, int milliseconds)
{
	int64_t deadline = clock_ms() + milliseconds;
	bool late = false;

	while (hook_reap(hook) && hook->pidfd >= 0 && !late) {
		struct pollfd fd = { .fd = hook->pidfd, .events = POLLIN };
		int64_t left = milliseconds < 0 ? -1 : MAX(deadline - clock_ms(), 0);

		late = poll(&fd, 1, (int)left) == 0;
	}
	return hook->pid != 0;
}
