/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sensor/queue.h"
#include "trace/trace.h"

#define GREETING_SECONDS 5
#define STREAM_BATCH 1024

struct stream_listener {
	int fd, lock;
	char *path, *lock_path;
};

/* The connection as a sensor: a thread reads, because a trace reader waits for whole lines. */
struct stream_sensor {
	struct sensor sensor;
	struct event_queue *queue;
	pthread_t thread;
	int fd;      /* to shut the connection from this side; the reader has its own */
	int reader_fd;
	atomic_bool stop;
};

int stream_default_path(char *ret_path, size_t size, struct errmsg *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!geteuid())
		runtime = "/run";
	if (!runtime || *runtime != '/')
		return errmsg_set(err, -ENOENT, NULL, 0,
				  "no place for the sensor's socket: XDG_RUNTIME_DIR is not set; name one with -gSOCKET");
	if ((size_t)snprintf(ret_path, size, "%s/imsafe/sensor.sock", runtime) >= size)
		return errmsg_set(err, -ENAMETOOLONG, runtime, 0, "the name is too long");
	return 0;
}

static int address_of(const char *path, struct sockaddr_un *ret_address, struct errmsg *err)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(ret_address->sun_path))
		return errmsg_set(err, -ENAMETOOLONG, path, 0, "a socket's name has 1 to %zu bytes",
				  sizeof(ret_address->sun_path) - 1);
	memcpy(ret_address->sun_path, path, strlen(path));
	return 0;
}

/* Who is at the other end: our own user or root, or nobody we talk to. */
static int check_peer(int fd, const char *path, struct errmsg *err)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return errmsg_errno(err, -errno, path, "asking who is at the other end");
	if (peer.uid && peer.uid != geteuid())
		return errmsg_set(err, -EPERM, path, 0, "the other end is process %d of user %u, neither root nor us", peer.pid,
				  peer.uid);
	return 0;
}

/*
 * The directory must be one in which nobody else can put a socket of the same name: ours or root's, and not writable by
 * others, or sticky. make: the last part of it.
 */
static int check_directory(const char *path, bool make, struct errmsg *err)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	struct stat st;

	if (!folder)
		return errmsg_errno(err, -ENOMEM, path, "cannot listen there");
	if (!slash)
		memcpy(folder, ".", 2);
	else
		slash[slash == folder] = '\0';
	if (make && mkdir(folder, 0700) < 0 && errno != EEXIST)
		return errmsg_errno(err, -errno, folder, "cannot make the socket's directory");
	if (lstat(folder, &st) < 0)
		return errmsg_errno(err, -errno, folder, "cannot listen there");
	if (make && S_ISLNK(st.st_mode))
		return errmsg_set(err, -ENOTDIR, folder, 0, "is a link; the socket's directory must not be one");
	if (stat(folder, &st) < 0)
		return errmsg_errno(err, -errno, folder, "cannot listen there");
	if ((st.st_uid && st.st_uid != geteuid()) || (st.st_mode & 022 && (make || !(st.st_mode & S_ISVTX))))
		return errmsg_set(err, -EPERM, folder, 0, "others may write there: no safe place for the sensor's socket");
	return 0;
}

/* Whoever holds the lock may remove the socket of a listener that is no more. */
static int take_lock(struct stream_listener *listener, struct errmsg *err)
{
	if (asprintf(&listener->lock_path, "%s.lock", listener->path) < 0) {
		listener->lock_path = NULL;
		return errmsg_errno(err, -ENOMEM, listener->path, "cannot listen there");
	}
	listener->lock = open(listener->lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	if (listener->lock < 0)
		return errmsg_errno(err, -errno, listener->lock_path, "cannot listen there");
	if (flock(listener->lock, LOCK_EX | LOCK_NB) < 0)
		return errmsg_set(err, -EADDRINUSE, listener->path, 0, "another program listens there");
	return 0;
}

static int bind_socket(struct stream_listener *listener, struct errmsg *err)
{
	struct sockaddr_un address;
	struct stat st;
	int r = address_of(listener->path, &address, err);

	if (r < 0)
		return r;
	if (lstat(listener->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return errmsg_set(err, -EEXIST, listener->path, 0, "is there already and not a socket");
		if (unlink(listener->path) < 0)
			return errmsg_errno(err, -errno, listener->path, "cannot remove the old socket");
	}
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return errmsg_errno(err, -errno, listener->path, "cannot listen there");
	/* Before the name exists: on Linux the socket file gets the socket's mode. */
	if (fchmod(listener->fd, 0600) < 0 || bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(listener->path, 0600) < 0 || listen(listener->fd, 16) < 0)
		return errmsg_errno(err, -errno, listener->path, "cannot listen there");
	return 0;
}

int stream_listen(const char *path, struct stream_listener **ret_listener, struct errmsg *err)
{
	_cleanup_(stream_listener_closep) struct stream_listener *listener = calloc(1, sizeof(*listener));
	char standard[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	bool make = !path;
	int r;

	if (!listener)
		return errmsg_errno(err, -ENOMEM, path, "cannot listen there");
	listener->fd = listener->lock = -1;
	if (!path) {
		r = stream_default_path(standard, sizeof(standard), err);
		if (r < 0)
			return r;
		path = standard;
	}
	r = check_directory(path, make, err);
	if (r < 0)
		return r;
	listener->path = strdup(path);
	if (!listener->path)
		return errmsg_errno(err, -ENOMEM, path, "cannot listen there");
	r = take_lock(listener, err);
	if (r >= 0)
		r = bind_socket(listener, err);
	if (r < 0)
		return r;
	*ret_listener = TAKE_PTR(listener);
	return 0;
}

const char *stream_listener_path(const struct stream_listener *listener)
{
	return listener->path;
}

int stream_listener_fd(const struct stream_listener *listener)
{
	return listener->fd;
}

struct stream_listener *stream_listener_close(struct stream_listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->fd >= 0) {
		unlink(listener->path);
		close(listener->fd);
	}
	/* The lock's file stays: removing it would let two others lock two different ones. */
	closep(&listener->lock);
	free(listener->lock_path);
	free(listener->path);
	free(listener);
	return NULL;
}

/* Waits for room: the sender's own sensor counts what it then has to lose. */
static bool push(struct stream_sensor *stream, const struct event *event)
{
	while (!event_queue_push(stream->queue, event)) {
		if (atomic_load(&stream->stop))
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return true;
}

static int push_events(struct stream_sensor *stream, struct trace_reader *reader, unsigned *modules,
		       const struct event *events, size_t n)
{
	const struct modules *known = trace_reader_modules(reader);
	bool foreign = false;

	for (; *modules < known->n; ++*modules)
		if (event_queue_push_module(stream->queue, &known->module[*modules]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!push(stream, &events[i]))
			return -ECANCELED;
		foreign |= events[i].kind == EVENT_CALL && event_is_foreign(events[i].origin);
	}
	if (foreign)
		event_queue_wake(stream->queue);
	return 0;
}

static int read_stream(struct stream_sensor *stream, struct errmsg *err)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct event events[STREAM_BATCH];
	unsigned modules = 1;
	int r = trace_reader_open_fd(TAKE_FD(stream->reader_fd), "sensor's stream", TRACE_TEXT, &reader, err);

	if (r >= 0) {
		const struct trace_info *info = trace_reader_info(reader);

		r = event_queue_push_info(stream->queue, &(struct sensor_info){
			.name = stream->sensor.ops->name,
			.arch = info->arch,
			.application = info->application,
			.build_id = info->build_id,
			.start = info->start,
		});
	}
	while (r >= 0) {
		ssize_t n = trace_reader_read(reader, events, STREAM_BATCH, err);

		if (n <= 0)
			return (int)n;
		r = push_events(stream, reader, &modules, events, (size_t)n);
	}
	return r == -ENOMEM ? errmsg_errno(err, r, NULL, "reading the sensor's stream") : r;
}

static void *stream_main(void *data)
{
	struct stream_sensor *stream = data;
	struct errmsg err = { 0 };
	int r = read_stream(stream, &err);

	event_queue_end(stream->queue, r, &err);
	return NULL;
}

static int stream_open(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "streams are accepted, not opened");
}

static int stream_fd(struct sensor *sensor)
{
	return event_queue_fd(((struct stream_sensor *)sensor)->queue);
}

static int stream_dispatch(struct sensor *sensor, sensor_event_fn *fn, void *data, struct errmsg *err)
{
	return event_queue_dispatch(((struct stream_sensor *)sensor)->queue, sensor, fn, data, err);
}

static void stream_stats(const struct sensor *sensor, struct sensor_stats *ret_stats)
{
	event_queue_stats(((const struct stream_sensor *)sensor)->queue, ret_stats);
}

static void stream_free(struct stream_sensor *stream)
{
	closep(&stream->fd);
	closep(&stream->reader_fd);
	event_queue_free(stream->queue);
	modules_done(&stream->sensor.modules);
	free((char *)stream->sensor.info.application);
	free((char *)stream->sensor.info.build_id);
	free(stream);
}

static void stream_close(struct sensor *sensor)
{
	struct stream_sensor *stream = (struct stream_sensor *)sensor;

	atomic_store(&stream->stop, true);
	shutdown(stream->fd, SHUT_RDWR); /* ends the thread's read */
	pthread_join(stream->thread, NULL);
	stream_free(stream);
}

static const struct sensor_ops sensor_stream = {
	.name = "stream",
	.summary = "what another process's sensor sends",
	.open = stream_open,
	.fd = stream_fd,
	.dispatch = stream_dispatch,
	.stats = stream_stats,
	.close = stream_close,
};

static int start_reading(int fd, struct sensor **ret_sensor)
{
	struct stream_sensor *stream = calloc(1, sizeof(*stream));
	sigset_t all, old;
	int r;

	if (!stream)
		return -ENOMEM;
	stream->sensor.ops = &sensor_stream;
	stream->sensor.info.name = sensor_stream.name;
	stream->sensor.exit_status = -1;
	modules_init(&stream->sensor.modules);
	stream->reader_fd = -1;
	stream->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = stream->fd < 0 ? -errno : event_queue_new(&stream->queue);
	if (r >= 0) {
		stream->reader_fd = fd;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		r = -pthread_create(&stream->thread, NULL, stream_main, stream);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (r < 0)
			stream->reader_fd = -1; /* still the caller's */
	}
	if (r < 0) {
		stream_free(stream);
		return r;
	}
	*ret_sensor = &stream->sensor;
	return 0;
}

int stream_accept(struct stream_listener *listener, struct sensor **ret_sensor, struct errmsg *err)
{
	_cleanup_close_ int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	int r;

	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return 0;
	if (fd < 0)
		return errmsg_errno(err, -errno, listener->path, "cannot take a connection");
	r = check_peer(fd, listener->path, err);
	if (r < 0)
		return r;
	if (send(fd, STREAM_GREETING, strlen(STREAM_GREETING), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return 0; /* gone already */
	r = start_reading(fd, ret_sensor);
	if (r < 0)
		return errmsg_errno(err, r, listener->path, "cannot take a connection");
	fd = -1;
	return 1;
}

static int await_greeting(int fd, const char *path, struct errmsg *err)
{
	char greeting[sizeof(STREAM_GREETING)];
	struct timeval patience = { .tv_sec = GREETING_SECONDS }, forever = { 0 };
	size_t have = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (have < strlen(STREAM_GREETING)) {
		ssize_t n = recv(fd, greeting + have, strlen(STREAM_GREETING) - have, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return errmsg_set(err, -ETIMEDOUT, path, 0, "whoever listens there does not answer");
		if (n < 0)
			return errmsg_errno(err, -errno, path, "connecting");
		if (!n)
			return errmsg_set(err, -ECONNREFUSED, path, 0, "whoever listens there has turned us away");
		have += (size_t)n;
	}
	if (memcmp(greeting, STREAM_GREETING, strlen(STREAM_GREETING)))
		return errmsg_set(err, -EPROTO, path, 0, "whoever listens there is no ImSafe of this version");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever));
	return 0;
}

int stream_connect(const char *path, int *ret_fd, struct errmsg *err)
{
	char standard[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	int r;

	if (!path) {
		r = stream_default_path(standard, sizeof(standard), err);
		if (r < 0)
			return r;
		path = standard;
	}
	r = address_of(path, &address, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errmsg_errno(err, -errno, path, "connecting");
	/* Also bounds the wait for a listener with a full queue. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ .tv_sec = GREETING_SECONDS }, sizeof(struct timeval));
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return errmsg_set(err, -errno, path, 0, "nobody listens there; start 'imsafe monitor -g' first");
	if (r < 0)
		return errmsg_errno(err, -errno, path, "connecting");
	r = check_peer(fd, path, err);
	if (r >= 0)
		r = await_greeting(fd, path, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
