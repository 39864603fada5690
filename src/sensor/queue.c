/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#define QUEUE_EVENTS   (1U << 18) /* 6 MB of address space; only what is used becomes memory */
#define QUEUE_RESERVE  (QUEUE_EVENTS / 8)
#define QUEUE_DELAY    2000000    /* ns */
#define QUEUE_DISPATCH 65536      /* events at most in one dispatch */
#define CACHE_LINE     64

struct pending_module {
	struct pending_module *next;
	struct module module;
};

struct event_queue {
	/* What either side changes often lies in lines of its own. */
	_Alignas(CACHE_LINE) _Atomic uint64_t head; /* written by the producer */
	uint64_t seen_tail;                         /* the producer's idea of tail: it is at least that */
	bool full;                                  /* calls are refused until half of the queue is free again */
	_Alignas(CACHE_LINE) _Atomic uint64_t tail; /* written by the consumer */
	struct sensor_stats stats;                  /* the consumer's */
	_Alignas(CACHE_LINE) atomic_bool asleep;    /* the consumer waits for the timer and nobody has set it */
	atomic_bool ended, told;                    /* told: modules, info or the end are in the locked part */
	int timer;
	struct event *events;

	pthread_mutex_t lock; /* of all that follows */
	struct pending_module *modules, **last_module;
	struct sensor_info info;
	bool info_changed;
	int error;
	struct errmsg err;
};

int event_queue_new(struct event_queue **ret_queue)
{
	struct event_queue *queue = aligned_alloc(CACHE_LINE, (sizeof(*queue) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	int r;

	if (!queue)
		return -ENOMEM;
	*queue = (struct event_queue){ .asleep = true };
	queue->last_module = &queue->modules;
	pthread_mutex_init(&queue->lock, NULL);
	queue->events = mmap(NULL, QUEUE_EVENTS * sizeof(*queue->events), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (queue->events == MAP_FAILED) {
		queue->events = NULL;
		r = -ENOMEM;
	} else {
		queue->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		r = queue->timer < 0 ? -errno : 0;
	}
	if (r < 0) {
		queue->timer = -1;
		event_queue_free(queue);
		return r;
	}
	*ret_queue = queue;
	return 0;
}

static void info_done(struct sensor_info *info)
{
	free((char *)info->application);
	free((char *)info->build_id);
	info->application = info->build_id = NULL;
}

struct event_queue *event_queue_free(struct event_queue *queue)
{
	if (!queue)
		return NULL;
	while (queue->modules) {
		struct pending_module *next = queue->modules->next;

		free(queue->modules->module.path);
		free(queue->modules);
		queue->modules = next;
	}
	info_done(&queue->info);
	if (queue->events)
		munmap(queue->events, QUEUE_EVENTS * sizeof(*queue->events));
	if (queue->timer >= 0)
		close(queue->timer);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
	return NULL;
}

static void timer_set(const struct event_queue *queue, long delay)
{
	timerfd_settime(queue->timer, 0, &(struct itimerspec){ .it_value.tv_nsec = delay }, NULL);
}

bool event_queue_push(struct event_queue *queue, const struct event *event)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	bool call = event->kind == EVENT_CALL;
	/* One long gap rather than many short ones: a queue that was full takes calls again when it is half empty. */
	uint64_t room = !call ? QUEUE_EVENTS : queue->full ? QUEUE_EVENTS / 2 : QUEUE_EVENTS - QUEUE_RESERVE;

	if (head - queue->seen_tail >= room) {
		queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
		if (head - queue->seen_tail >= room) {
			queue->full |= call;
			return false;
		}
	}
	queue->full &= !call;
	queue->events[head & (QUEUE_EVENTS - 1)] = *event;
	/* Sequentially consistent on both sides: either the consumer sees the event or we see it asleep. */
	atomic_store(&queue->head, head + 1);
	if (atomic_load(&queue->asleep) && atomic_exchange(&queue->asleep, false))
		timer_set(queue, QUEUE_DELAY);
	return true;
}

bool event_queue_takes_calls(struct event_queue *queue)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);

	queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
	return head - queue->seen_tail < (queue->full ? QUEUE_EVENTS / 2 : QUEUE_EVENTS - QUEUE_RESERVE);
}

void event_queue_wake(struct event_queue *queue)
{
	atomic_store(&queue->asleep, false);
	timer_set(queue, 1);
}

bool event_queue_wait_read(struct event_queue *queue, unsigned patience)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	struct timespec nap = { .tv_nsec = 20000 };

	for (unsigned waited = 0; atomic_load_explicit(&queue->tail, memory_order_acquire) < head; waited += 20) {
		if (waited >= patience)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

int event_queue_push_module(struct event_queue *queue, const struct module *module)
{
	struct pending_module *pending = malloc(sizeof(*pending));

	if (!pending)
		return -ENOMEM;
	*pending = (struct pending_module){ .module = *module };
	pending->module.path = strdup(module->path);
	if (!pending->module.path) {
		free(pending);
		return -ENOMEM;
	}
	pthread_mutex_lock(&queue->lock);
	*queue->last_module = pending;
	queue->last_module = &pending->next;
	atomic_store(&queue->told, true);
	pthread_mutex_unlock(&queue->lock);
	return 0;
}

int event_queue_push_info(struct event_queue *queue, const struct sensor_info *info)
{
	char *application = info->application ? strdup(info->application) : NULL;
	char *build_id = info->build_id ? strdup(info->build_id) : NULL;

	if ((info->application && !application) || (info->build_id && !build_id)) {
		free(application);
		free(build_id);
		return -ENOMEM;
	}
	pthread_mutex_lock(&queue->lock);
	info_done(&queue->info);
	queue->info = *info;
	queue->info.application = application;
	queue->info.build_id = build_id;
	queue->info_changed = true;
	atomic_store(&queue->told, true);
	pthread_mutex_unlock(&queue->lock);
	return 0;
}

void event_queue_end(struct event_queue *queue, int error, const struct errmsg *err)
{
	pthread_mutex_lock(&queue->lock);
	queue->error = error;
	if (err)
		queue->err = *err;
	pthread_mutex_unlock(&queue->lock);
	atomic_store(&queue->ended, true);
	event_queue_wake(queue);
}

int event_queue_fd(const struct event_queue *queue)
{
	return queue->timer;
}

/* What came beside the events. Strings of sensor->info live as long as the sensor, so they are only set once. */
static int take_told(struct event_queue *queue, struct sensor *sensor)
{
	int r = 0;

	if (!atomic_load(&queue->told))
		return 0;
	pthread_mutex_lock(&queue->lock);
	atomic_store(&queue->told, false);
	if (queue->info_changed && !sensor->info.application) {
		sensor->info = queue->info;
		queue->info.application = queue->info.build_id = NULL;
	}
	queue->info_changed = false;
	while (queue->modules && r >= 0) {
		struct pending_module *pending = queue->modules;

		/* One more in any case: events count on its index. */
		if (pending->module.inode)
			r = modules_add(&sensor->modules, pending->module.path, pending->module.build_id, pending->module.device,
					pending->module.inode);
		else
			r = modules_append(&sensor->modules, pending->module.path, pending->module.build_id);
		queue->modules = pending->next;
		free(pending->module.path);
		free(pending);
	}
	if (!queue->modules)
		queue->last_module = &queue->modules;
	pthread_mutex_unlock(&queue->lock);
	return MIN(r, 0);
}

static void count(struct sensor_stats *stats, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (events[i].kind == EVENT_CALL) {
			stats->calls++;
			stats->unknown_origins += EVENT_ORIGIN(events[i].origin) == ORIGIN_UNKNOWN;
		} else if (events[i].kind == EVENT_GAP) {
			stats->lost += events[i].lost;
		}
	}
}

int event_queue_dispatch(struct event_queue *queue, struct sensor *sensor, sensor_event_fn *fn, void *data,
			 struct errmsg *err)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed), head, expirations;
	bool ended = atomic_load(&queue->ended);
	int r;

	if (read(queue->timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN && errno != EINTR)
		return errmsg_errno(err, -errno, NULL, "reading the sensor's timer");
	head = atomic_load(&queue->head);
	r = take_told(queue, sensor);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "noting where calls come from");
	for (uint64_t end = MIN(head, tail + QUEUE_DISPATCH); tail != end;) {
		size_t at = tail & (QUEUE_EVENTS - 1), n = MIN(end - tail, QUEUE_EVENTS - at);

		count(&queue->stats, queue->events + at, n);
		r = fn(data, queue->events + at, n);
		tail += n;
		atomic_store_explicit(&queue->tail, tail, memory_order_release);
		if (r < 0)
			return r;
	}
	if (tail == head && ended) {
		pthread_mutex_lock(&queue->lock);
		r = queue->error;
		if (r < 0 && err)
			*err = queue->err;
		pthread_mutex_unlock(&queue->lock);
		timer_set(queue, 1); /* stays readable, whoever asks again */
		return r;
	}
	atomic_store(&queue->asleep, true);
	if ((tail != atomic_load(&queue->head) || atomic_load(&queue->ended)) && atomic_exchange(&queue->asleep, false))
		timer_set(queue, tail == head ? QUEUE_DELAY : 1);
	return 1;
}

void event_queue_stats(const struct event_queue *queue, struct sensor_stats *ret_stats)
{
	*ret_stats = queue->stats;
}
