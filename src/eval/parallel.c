/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eval/parallel.h"

#include <pthread.h>

#include "base/cleanup.h"

struct parallel {
	pthread_mutex_t lock;
	size_t next, done, n;
	int error;
	parallel_fn *fn;
	void *data;
	parallel_progress_fn *progress;
	void *progress_data;
};

static void *work(void *data)
{
	struct parallel *p = data;

	pthread_mutex_lock(&p->lock);
	while (!p->error && p->next < p->n) {
		size_t job = p->next++;
		int r;

		pthread_mutex_unlock(&p->lock);
		r = p->fn(p->data, job);
		pthread_mutex_lock(&p->lock);
		if (r < 0 && !p->error)
			p->error = r;
		p->done++;
		if (p->progress)
			p->progress(p->progress_data, (double)p->done / (double)p->n);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int parallel_for(size_t n, unsigned threads, parallel_fn *fn, void *data, parallel_progress_fn *progress,
		 void *progress_data)
{
	struct parallel p = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .n = n, .fn = fn, .data = data,
		.progress = progress, .progress_data = progress_data,
	};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t wanted = MIN(threads ? threads : cores > 0 ? (size_t)cores : 1, n), started = 0;
	_cleanup_free_ pthread_t *ids = calloc(wanted + 1, sizeof(*ids));

	/* This thread works too, so fewer others than hoped for only take longer. */
	while (ids && started + 1 < wanted && !pthread_create(&ids[started], NULL, work, &p))
		started++;
	work(&p);
	while (started)
		pthread_join(ids[--started], NULL);
	pthread_mutex_destroy(&p.lock);
	return p.error;
}
