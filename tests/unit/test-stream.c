/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket between a sensor's process and a listener: who may talk, and that all arrives. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/stream.h"
#include "../tap.h"
#include "trace/trace.h"

static char folder[] = "/tmp/imsafe-stream-XXXXXX", path[64];

struct seen {
	size_t calls, forks;
	bool order;
};

static int on_events(void *data, const struct event *events, size_t n)
{
	struct seen *seen = data;

	for (size_t i = 0; i < n; i++) {
		if (events[i].kind == EVENT_CALL)
			seen->order &= events[i].call == seen->calls++ % 300;
		seen->forks += events[i].kind == EVENT_FORK;
	}
	return 0;
}

/* The sender's side, in one go: the text of so many calls. */
static void send_trace(int fd, size_t n)
{
	const struct trace_info info = { .arch = ARCH_X86_64, .application = "/usr/sbin/in.ftpd", .sensor = "ptrace" };
	struct trace_writer *writer;
	struct errmsg err = { 0 };
	struct event event = { .kind = EVENT_FORK, .tid = 7, .pid = 7, .parent = 1 };

	if (trace_writer_open_fd(fd, "test", TRACE_TEXT, &info, NULL, &writer, &err) < 0)
		return;
	trace_writer_write(writer, &event, 1, &err);
	for (size_t i = 0; i < n; i++) {
		event = (struct event){ .kind = EVENT_CALL, .tid = 7, .call = (uint16_t)(i % 300), .origin = ORIGIN_FILE };
		trace_writer_write(writer, &event, 1, &err);
	}
	trace_writer_finish(writer, &err);
	trace_writer_close(writer);
}

static void check_stream(struct stream_listener *listener)
{
	struct sensor *sensor = NULL;
	struct errmsg err = { 0 };
	struct seen seen = { .order = true };
	int fd = -1, r;
	pid_t pid;

	ok(stream_accept(listener, &sensor, &err) == 0, "nobody is waiting");
	/* The sender in a process: it waits for the greeting, we for it. */
	pid = fork();
	if (!pid) {
		if (stream_connect(path, &fd, &err) < 0)
			_exit(1);
		send_trace(fd, 20000);
		_exit(0);
	}
	poll(&(struct pollfd){ .fd = stream_listener_fd(listener), .events = POLLIN }, 1, 10000);
	if (!ok(stream_accept(listener, &sensor, &err) == 1, "a sender is accepted"))
		return;
	do {
		poll(&(struct pollfd){ .fd = sensor->ops->fd(sensor), .events = POLLIN }, 1, 10000);
		r = sensor->ops->dispatch(sensor, on_events, &seen, &err);
	} while (r > 0);
	ok(r == 0, "its stream ends well");
	ok(seen.calls == 20000 && seen.forks == 1 && seen.order, "with every event, in order");
	ok(sensor->info.arch == ARCH_X86_64 && sensor->info.application && !strcmp(sensor->info.application, "/usr/sbin/in.ftpd"),
	   "and whose they are");
	sensor_close(sensor);
	waitpid(pid, NULL, 0); /* it holds the listener's lock, too, as long as it lives */
}

/* What is not a trace is an error, not a crash; closing does not wait for the other side. */
static void check_rubbish(struct stream_listener *listener)
{
	struct sensor *sensor = NULL;
	struct errmsg err = { 0 };
	struct seen seen = { 0 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || write(fd, "rubbish\nmore\n", 13) != 13)
		ok(false, "connecting");
	ok(stream_accept(listener, &sensor, &err) == 1, "accepted by its user");
	do {
		poll(&(struct pollfd){ .fd = sensor->ops->fd(sensor), .events = POLLIN }, 1, 10000);
		r = sensor->ops->dispatch(sensor, on_events, &seen, &err);
	} while (r > 0);
	ok(r < 0 && *err.text, "rubbish is refused: %s", err.text);
	sensor_close(sensor);
	close(fd);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		ok(false, "connecting");
	ok(stream_accept(listener, &sensor, &err) == 1, "one who says nothing");
	sensor_close(sensor);
	ok(true, "can be closed");
	close(fd);
}

/* Another user is turned away even where the files' modes would let him in. */
static void check_other_user(struct stream_listener *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct sensor *sensor = NULL;
	struct errmsg err = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	memcpy(address.sun_path, path, strlen(path));
	if (geteuid()) {
		close(fd);
		ok(true, "another user is turned away # SKIP only root can be one");
		return;
	}
	chmod(folder, 0755);
	chmod(path, 0666);
	r = seteuid(65534) < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
	r |= seteuid(0) < 0;
	chmod(folder, 0700);
	ok(!r && stream_accept(listener, &sensor, &err) < 0 && !sensor && strstr(err.text, "user 65534"),
	   "another user is turned away: %s", err.text);
	close(fd);
}

static void check_places(void)
{
	_cleanup_(stream_listener_closep) struct stream_listener *listener = NULL;
	struct stream_listener *other;
	struct errmsg err = { 0 };
	struct stat st;
	int fd;

	ok(stream_connect(path, &fd, &err) < 0 && strstr(err.text, "nobody listens"), "nobody listens");
	ok(stream_listen(path, &listener, &err) == 0, "listens");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "for its user alone");
	ok(stream_listen(path, &other, &err) == -EADDRINUSE, "once");
	check_stream(listener);
	check_rubbish(listener);
	check_other_user(listener);
	listener = stream_listener_close(listener);
	ok(stat(path, &st) < 0, "nothing is left of it");
	chmod(folder, 0777);
	ok(stream_listen(path, &other, &err) == -EPERM, "not where others may write");
	chmod(folder, 0700);
	fd = creat(path, 0600);
	close(fd);
	ok(stream_listen(path, &other, &err) == -EEXIST, "not over a file");
	unlink(path);
	ok(stream_listen("/a/name/that/is/too/long/for/a/socket/of/which/the/kernel/takes/only/a/hundred/and/eight/bytes/"
			 "all/in/all", &other, &err) < 0, "not under a name that is too long");
}

int main(void)
{
	char lock[80];

	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/sensor.sock", folder);
	check_places();
	snprintf(lock, sizeof(lock), "%s.lock", path);
	unlink(lock);
	rmdir(folder);
	return tap_done();
}
