/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events on their way from the thread that gathers them to the thread that dispatches them: a ring with one producer and
 * one consumer, no lock and no system call per event. The producer never waits for the consumer unless it asks to.
 *
 * The consumer's file descriptor becomes readable some milliseconds after the first event that it has not seen (so that
 * a busy application costs a few hundred wake-ups a second, not one a call), or at once when told so.
 */
#ifndef IMSAFE_SENSOR_QUEUE_H
#define IMSAFE_SENSOR_QUEUE_H

#include "sensor/sensor.h"

struct event_queue;

int event_queue_new(struct event_queue **ret_queue); /* -errno */
struct event_queue *event_queue_free(struct event_queue *queue);
DEFINE_CLEANUP(struct event_queue *, event_queue_free)

/* Producer. */

/* false: full; nothing is there then. Calls are refused while there is still room for forks, execs, exits and gaps. */
bool event_queue_push(struct event_queue *queue, const struct event *event);

bool event_queue_takes_calls(struct event_queue *queue); /* would a call be accepted now? */

void event_queue_wake(struct event_queue *queue); /* what was pushed is worth waking the consumer for at once */

/* Waits until all that was pushed has been through the consumer's callback, at most patience microseconds. Was it? */
bool event_queue_wait_read(struct event_queue *queue, unsigned patience);

/* The next module of the stream, copied; push it before the first event that refers to it. -ENOMEM */
int event_queue_push_module(struct event_queue *queue, const struct module *module);

/* What is known of the application changed; strings are copied. -ENOMEM */
int event_queue_push_info(struct event_queue *queue, const struct sensor_info *info);

/* Nothing will follow. error: 0 or -errno with err copied (may be NULL). */
void event_queue_end(struct event_queue *queue, int error, const struct errmsg *err);

/* Consumer. */

int event_queue_fd(const struct event_queue *queue);

/* A sensor's dispatch: brings sensor->modules and sensor->info up to date, counts into stats, delivers. */
int event_queue_dispatch(struct event_queue *queue, struct sensor *sensor, sensor_event_fn *fn, void *data,
			 struct errmsg *err);
void event_queue_stats(const struct event_queue *queue, struct sensor_stats *ret_stats);

#endif
