/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes belong to an application, as programs and cgroups come and go. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sensor-test.h"
#include "sensor/sensor.h"
#include "../tap.h"

static const char *subject;
static struct errmsg err;

/* Events of the process that is looked at, and of all others. */
struct seen {
	uint32_t pid;
	uint64_t count[EVENT_KINDS], others[EVENT_KINDS];
};

static int note(void *data, const struct event *events, size_t n)
{
	struct seen *seen = data;

	for (size_t i = 0; i < n; i++)
		(events[i].tid == seen->pid ? seen->count : seen->others)[events[i].kind]++;
	return 0;
}

static struct sensor *start_sensor(const struct target *targets, size_t n)
{
	const struct sensor_config config = { .targets = targets, .n_targets = n };
	struct sensor *sensor = NULL;

	if (sensor_open("ebpf", &config, &sensor, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(99);
	}
	return sensor;
}

static void dispatch(struct sensor *sensor, struct seen *seen)
{
	struct pollfd ready = { .fd = sensor->ops->fd(sensor), .events = POLLIN };

	poll(&ready, 1, -1);
	if (sensor->ops->dispatch(sensor, note, seen, &err) < 0)
		printf("# %s\n", err.text);
}

/* A subject whose standard input is the pipe, if there is one. */
static pid_t start(char **argv, int input)
{
	pid_t pid = fork();

	if (!pid) {
		if (input >= 0)
			dup2(input, STDIN_FILENO);
		execv(subject, argv);
		_exit(127);
	}
	return pid;
}

/* Runs a subject to its end, and until what it did has been delivered. Its exit status. */
static int run(struct sensor *sensor, char **argv, struct seen *seen)
{
	int status = 0;

	*seen = (struct seen){ .pid = (uint32_t)start(argv, -1) };
	while (!waitpid((pid_t)seen->pid, &status, WNOHANG))
		dispatch(sensor, seen);
	for (int i = 0; i < 10; i++)
		dispatch(sensor, seen);
	return status;
}

/* A while in which nothing happens, for the sensor to look. */
static void idle(struct sensor *sensor)
{
	struct seen unused = { 0 };

	for (int i = 0; i < 50; i++)
		dispatch(sensor, &unused);
}

static const char *make_group(const char *mount, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/imsafe-targets-%d-%s", mount, getpid(), name);
	return mkdir(path, 0755) < 0 ? NULL : path;
}

static void test_groups(const char *mount)
{
	char ours[400], theirs[400], enter[420], born_ours[420], born_theirs[420];
	struct target targets[2] = { { .kind = TARGET_CGROUP }, { .kind = TARGET_PID } };
	struct sensor *sensor;
	struct seen seen;
	int input[2];

	if (!*mount || !make_group(mount, "ours", ours, sizeof(ours))) {
		ok(true, "cgroups # SKIP there is no unified hierarchy, or no cgroup can be made in it");
		return;
	}
	make_group(mount, "theirs", theirs, sizeof(theirs));
	targets[0].name = ours;
	snprintf(enter, sizeof(enter), "enter:%s", ours);
	snprintf(born_ours, sizeof(born_ours), "born:%s", ours);
	snprintf(born_theirs, sizeof(born_theirs), "born:%s", theirs);

	sensor = start_sensor(targets, 1);
	ok(run(sensor, (char *[]){ (char *)subject, enter, born_ours, NULL }, &seen) == 0 && seen.count[EVENT_ATTACH] == 1 &&
	   seen.others[EVENT_FORK] == 1 && seen.others[EVENT_CALL] > 800, "a process that enters a cgroup belongs to it, and its child");
	ok(run(sensor, (char *[]){ (char *)subject, enter, born_theirs, NULL }, &seen) == 0 && seen.count[EVENT_ATTACH] == 1 &&
	   !seen.others[EVENT_FORK] && !seen.others[EVENT_CALL], "a child that begins in another one does not");
	ok(run(sensor, (char *[]){ (char *)subject, born_ours, NULL }, &seen) == 0 && !seen.count[EVENT_CALL] &&
	   seen.others[EVENT_FORK] == 1 && seen.others[EVENT_CALL] > 800, "but one that begins in it does");
	sensor_close(sensor);

	sensor = start_sensor(targets, 1);
	rmdir(ours);
	make_group(mount, "ours", ours, sizeof(ours));
	idle(sensor);
	ok(run(sensor, (char *[]){ (char *)subject, enter, NULL }, &seen) == 0 && seen.count[EVENT_ATTACH] == 1,
	   "one that enters it after it was removed and made again, too");
	sensor_close(sensor);

	/* Beside a cgroup, a process that was never in it. */
	if (pipe2(input, O_CLOEXEC) < 0)
		exit(99);
	targets[1].pid = start((char *[]){ (char *)subject, (char *)"read", (char *)"normal:200", NULL }, input[0]);
	sensor = start_sensor(targets, 2);
	snprintf(enter, sizeof(enter), "enter:%s", theirs);
	run(sensor, (char *[]){ (char *)subject, enter, NULL }, &seen); /* processes between cgroups make the sensor look again */
	seen = (struct seen){ .pid = (uint32_t)targets[1].pid };
	close(input[0]);
	close(input[1]);
	waitpid(targets[1].pid, NULL, 0);
	for (int i = 0; i < 10; i++)
		dispatch(sensor, &seen);
	ok(seen.count[EVENT_CALL] > 800 && seen.count[EVENT_EXIT] == 1, "a process that was asked for does not leave with a cgroup (%llu calls)",
	   (unsigned long long)seen.count[EVENT_CALL]);
	sensor_close(sensor);
	rmdir(ours);
	rmdir(theirs);
}

static bool copy(const char *path)
{
	_cleanup_free_ char *command = NULL;

	return asprintf(&command, "rm -f '%s' && cp '%s' '%s'", path, subject, path) > 0 && system(command) == 0;
}

static void test_programs(void)
{
	char program[] = "/tmp/imsafe-targets-XXXXXX", other[sizeof(program) + 1], *steps[] = { program, (char *)"normal:200", NULL };
	const struct target target = { .kind = TARGET_EXE, .name = program };
	const char *real = subject;
	struct sensor *sensor;
	struct stat st[2];
	struct seen seen;
	int fd = mkstemp(program);

	if (fd < 0 || close(fd) < 0 || !copy(program) || stat(program, &st[0]) < 0)
		exit(99);
	snprintf(other, sizeof(other), "%s2", program);
	sensor = start_sensor(&target, 1);
	subject = program;
	ok(run(sensor, steps, &seen) == 0 && seen.count[EVENT_EXEC] == 1 && seen.count[EVENT_CALL] > 800, "a program that starts is recorded");
	subject = real;
	if (unlink(program) < 0 || !copy(other) || stat(other, &st[1]) < 0)
		exit(99);
	subject = other;
	if (st[1].st_ino != st[0].st_ino)
		ok(true, "another file with its number # SKIP this file system did not give it again");
	else
		ok(run(sensor, steps, &seen) == 0 && !seen.count[EVENT_CALL], "but not another file that got its number");
	rename(other, program);
	idle(sensor);
	subject = program;
	ok(run(sensor, steps, &seen) == 0 && seen.count[EVENT_EXEC] == 1 && seen.count[EVENT_CALL] > 800, "nor is it forgotten when it is replaced");
	unlink(program);
	sensor_close(sensor);
	subject = real;
}

int main(int argc, char **argv)
{
	struct driver_check check;

	if (argc < 2) {
		fprintf(stderr, "usage: test-targets SUBJECT\n");
		return 99;
	}
	subject = argv[1];
	need_driver();
	driver_check(&check);
	test_programs();
	test_groups(check.cgroup2);
	return tap_done();
}
