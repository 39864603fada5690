/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ptrace sensor: starts the tracer's thread, hands on what it puts into the queue, and ends it. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "sensor/ptrace-tracer.h"

/*
 * Ends the tracer's wait. Ignored by default, so that a stray one does no harm, sent to that thread alone, and used by
 * no one else for threads.
 */
#define SIGNAL_WAKE SIGURG

struct ptrace_sensor {
	struct sensor sensor;
	struct tracer tracer;
	pthread_t thread;
	sem_t attached, ended;
	int result;        /* of attaching; valid once attached */
	struct errmsg err;
	bool origins;
};

static void wake(int signal)
{
	tracer_hear_of_ends();
}

/* Only a signal with a handler interrupts a wait. */
static int catch_wake_signal(void)
{
	struct sigaction action;

	if (sigaction(SIGNAL_WAKE, NULL, &action) < 0)
		return -errno;
	if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
		return 0;
	action = (struct sigaction){ .sa_handler = wake };
	return sigaction(SIGNAL_WAKE, &action, NULL) < 0 ? -errno : 0;
}

static int tracer_init(struct tracer *tracer)
{
	tracer->self = (pid_t)syscall(SYS_gettid);
	tracer->tracees = thread_table_new(sizeof(struct tracee));
	tracer->processes = thread_table_new(sizeof(struct process));
	modules_init(&tracer->modules);
	tracer->modules_told = tracer->modules.n;
	if (!tracer->tracees || !tracer->processes)
		return -ENOMEM;
	report_init(tracer);
	return 0;
}

static void *tracer_main(void *data)
{
	struct ptrace_sensor *ptrace_sensor = data;
	struct tracer *tracer = &ptrace_sensor->tracer;
	struct errmsg err = { 0 };
	int r;

	pthread_setname_np(pthread_self(), "imsafe-ptrace");
	r = tracer_init(tracer);
	if (r < 0)
		errmsg_errno(&err, r, NULL, "starting the ptrace sensor");
	else
		r = tracer_attach(tracer, &err);
	ptrace_sensor->result = r;
	ptrace_sensor->err = err;
	sem_post(&ptrace_sensor->attached);
	if (r >= 0) {
		r = tracer_loop(tracer);
		if (r < 0)
			errmsg_errno(&err, r, NULL, "waiting for traced threads");
		event_queue_end(tracer->queue, r, &err);
	}
	sem_post(&ptrace_sensor->ended);
	return NULL;
}

/*
 * The thread starts with all signals blocked, because they are the business of its program's other threads, but for two.
 * The kernel sends SIGCHLD at every stop: not blocked here and without a handler it is dropped on the spot; blocked, it
 * would wake another thread each time.
 */
static int start_thread(struct ptrace_sensor *ptrace_sensor)
{
	struct sigaction action;
	sigset_t blocked, old;
	int r;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGNAL_WAKE);
	if (!sigaction(SIGCHLD, NULL, &action) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))
		sigdelset(&blocked, SIGCHLD);
	r = pthread_sigmask(SIG_SETMASK, &blocked, &old);
	if (r)
		return -r;
	r = pthread_create(&ptrace_sensor->thread, NULL, tracer_main, ptrace_sensor);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

/* The thread is off the process's list only after the kernel has let go of all that it traced. */
static void wait_until_detached(pid_t thread)
{
	for (int i = 0; i < 1000 && !syscall(SYS_tgkill, getpid(), thread, 0); i++)
		nanosleep(&(struct timespec){ .tv_nsec = i < 10 ? 20000 : 1000000 }, NULL);
}

/* false: not yet */
static bool wait_a_moment(sem_t *semaphore, long ns)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += ns;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return sem_timedwait(semaphore, &until) == 0;
}

static void end_thread(struct ptrace_sensor *ptrace_sensor)
{
	atomic_store(&ptrace_sensor->tracer.stop, true);
	do
		/* Again and again: it may just have looked at the flag and not yet be waiting. */
		pthread_kill(ptrace_sensor->thread, SIGNAL_WAKE);
	while (!wait_a_moment(&ptrace_sensor->ended, 5000000));
	pthread_join(ptrace_sensor->thread, NULL);
	wait_until_detached(ptrace_sensor->tracer.self);
}

static void free_sensor(struct ptrace_sensor *ptrace_sensor)
{
	tables_free(&ptrace_sensor->tracer);
	identities_done(&ptrace_sensor->tracer.identities);
	modules_done(&ptrace_sensor->tracer.modules);
	modules_done(&ptrace_sensor->sensor.modules);
	event_queue_free(ptrace_sensor->tracer.queue);
	sem_destroy(&ptrace_sensor->attached);
	sem_destroy(&ptrace_sensor->ended);
	free((char *)ptrace_sensor->sensor.info.application);
	free((char *)ptrace_sensor->sensor.info.build_id);
	free(ptrace_sensor);
}

static void ptrace_close(struct sensor *sensor)
{
	struct ptrace_sensor *ptrace_sensor = (struct ptrace_sensor *)sensor;

	end_thread(ptrace_sensor);
	free_sensor(ptrace_sensor);
}

static struct ptrace_sensor *sensor_new(const struct sensor_config *config)
{
	struct ptrace_sensor *ptrace_sensor = calloc(1, sizeof(*ptrace_sensor));

	if (!ptrace_sensor)
		return NULL;
	ptrace_sensor->sensor.ops = &sensor_ptrace;
	ptrace_sensor->sensor.exit_status = -1;
	modules_init(&ptrace_sensor->sensor.modules);
	ptrace_sensor->origins = config->origins;
	ptrace_sensor->tracer.targets = config->targets;
	ptrace_sensor->tracer.n_targets = config->n_targets;
	ptrace_sensor->tracer.follow_fork = config->follow_fork;
	ptrace_sensor->tracer.follow_exec = config->follow_exec;
	ptrace_sensor->tracer.origins = config->origins;
	ptrace_sensor->tracer.sites = config->sites;
	ptrace_sensor->tracer.times = config->times;
	ptrace_sensor->tracer.identify = config->processes;
	identities_init(&ptrace_sensor->tracer.identities);
	ptrace_sensor->tracer.info = (struct sensor_info){ .name = sensor_ptrace.name, .start = time(NULL) };
	ptrace_sensor->tracer.exit_status = -1;
	ptrace_sensor->tracer.started = (struct command){ .go = -1, .failure = -1 };
	modules_init(&ptrace_sensor->tracer.modules);
	sem_init(&ptrace_sensor->attached, 0, 0);
	sem_init(&ptrace_sensor->ended, 0, 0);
	return ptrace_sensor;
}

static int check_targets(struct tracer *tracer, struct errmsg *err)
{
	for (size_t i = 0; i < tracer->n_targets; i++) {
		const struct target *target = &tracer->targets[i];

		if (target->kind == TARGET_COMMAND && !tracer->command_target)
			tracer->command_target = target;
		else if (target->kind != TARGET_PID)
			return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "the ptrace sensor takes processes that run (-p) or one COMMAND");
	}
	return 0;
}

/* PTRACE_GET_SYSCALL_INFO came with 5.3; without it a stop could not be told from another. */
static int check_kernel(struct errmsg *err)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major < 5 || (major == 5 && minor < 3)))
		return errmsg_set(err, -ENOSYS, NULL, 0, "the ptrace sensor needs Linux 5.3 or later; this is %s", name.release);
	return 0;
}

/* Waits for the thread's word. On failure the thread has nothing in its hands any more. */
static int attach(struct ptrace_sensor *ptrace_sensor, struct errmsg *err)
{
	struct tracer *tracer = &ptrace_sensor->tracer;
	int r = start_thread(ptrace_sensor);

	if (r < 0)
		return errmsg_errno(err, r, NULL, "starting the ptrace sensor");
	while (!wait_a_moment(&ptrace_sensor->attached, 100000000))
		pthread_kill(ptrace_sensor->thread, SIGNAL_WAKE);
	ptrace_sensor->sensor.info = tracer->info;
	ptrace_sensor->sensor.command = tracer->command;
	r = ptrace_sensor->result;
	if (r < 0) {
		if (err)
			*err = ptrace_sensor->err;
		end_thread(ptrace_sensor);
	}
	return r;
}

static int ptrace_open(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	struct ptrace_sensor *ptrace_sensor = sensor_new(config);
	struct tracer *tracer;
	int r;

	if (!ptrace_sensor)
		return errmsg_errno(err, -ENOMEM, NULL, "starting the ptrace sensor");
	tracer = &ptrace_sensor->tracer;
	r = check_targets(tracer, err);
	if (r >= 0 && tracer->identify) {
		tracer->identities.known = thread_table_new(sizeof(struct identity *));
		if (!tracer->identities.known)
			r = errmsg_errno(err, -ENOMEM, NULL, "starting the ptrace sensor");
	}
	if (r >= 0)
		r = check_kernel(err);
	if (r >= 0) {
		r = event_queue_new(&tracer->queue);
		if (r >= 0)
			r = catch_wake_signal();
		if (r < 0)
			errmsg_errno(err, r, NULL, "starting the ptrace sensor");
	}
	if (r >= 0 && tracer->command_target)
		r = command_start(tracer->command_target, &tracer->started, err);
	if (r >= 0) {
		r = attach(ptrace_sensor, err);
		if (r < 0 && tracer->started.pid)
			command_kill(&tracer->started);
		else if (tracer->command_target)
			command_done(&tracer->started);
	}
	if (r < 0) {
		free_sensor(ptrace_sensor);
		return r;
	}
	*ret_sensor = &ptrace_sensor->sensor;
	return 0;
}

static int ptrace_fd(struct sensor *sensor)
{
	return event_queue_fd(((struct ptrace_sensor *)sensor)->tracer.queue);
}

struct delivery {
	struct identities *identities;
	sensor_event_fn *fn;
	void *data;
};

/* Who a process is changes with the events: those before are delivered first. */
static int deliver(void *data, const struct event *events, size_t n)
{
	const struct delivery *delivery = data;
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		int r;

		if (events[i].kind == EVENT_CALL || !identities_change(delivery->identities, &events[i]))
			continue;
		r = i > from ? delivery->fn(delivery->data, events + from, i - from) : 0;
		if (r < 0)
			return r;
		from = i;
		identities_follow(delivery->identities, &events[i]);
	}
	return delivery->fn(delivery->data, events + from, n - from);
}

static bool ptrace_process(struct sensor *sensor, pid_t pid, struct process_info *ret_info)
{
	return identities_find(&((struct ptrace_sensor *)sensor)->tracer.identities, pid, ret_info);
}

static int ptrace_dispatch(struct sensor *sensor, sensor_event_fn *fn, void *data, struct errmsg *err)
{
	struct ptrace_sensor *ptrace_sensor = (struct ptrace_sensor *)sensor;
	struct tracer *tracer = &ptrace_sensor->tracer;
	struct delivery delivery = { &tracer->identities, fn, data };
	int r = event_queue_dispatch(tracer->queue, sensor, tracer->identify ? deliver : fn, tracer->identify ? &delivery : data, err);

	sensor->exit_status = atomic_load(&ptrace_sensor->tracer.exit_status);
	return r;
}

static void ptrace_stats(const struct sensor *sensor, struct sensor_stats *ret_stats)
{
	const struct ptrace_sensor *ptrace_sensor = (const struct ptrace_sensor *)sensor;

	event_queue_stats(ptrace_sensor->tracer.queue, ret_stats);
	ret_stats->threads = atomic_load_explicit(&ptrace_sensor->tracer.n_followed, memory_order_relaxed);
	if (!ptrace_sensor->origins)
		ret_stats->unknown_origins = 0;
}

const struct sensor_ops sensor_ptrace = {
	.name = "ptrace",
	.summary = "processes of yours, without privileges; each call stops the thread twice",
	.open = ptrace_open,
	.fd = ptrace_fd,
	.dispatch = ptrace_dispatch,
	.process = ptrace_process,
	.stats = ptrace_stats,
	.close = ptrace_close,
};
