/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Folds on several threads: each takes the next fold that nobody has, so long folds do not hold up the others. */
#include <pthread.h>
#include <unistd.h>

#include "model/freeze.h"
#include "model/folds.h"

#define THREADS_MAX 16

struct work {
	const struct folds *folds;
	folds_fn *fn;
	void *data;
	folds_progress_fn *progress;
	void *progress_data;

	pthread_mutex_t lock;
	uint32_t next, done;
	int error;
	struct errmsg err;
};

static int work_fold(struct work *work, uint32_t fold, struct errmsg *err)
{
	struct image image;
	int r;

	r = folds_image(work->folds, fold, &image, err);
	if (r == -ENODATA)
		return work->fn(work->data, fold, NULL);
	if (r < 0)
		return r;
	r = work->fn(work->data, fold, &image);
	image_free(&image);
	return r;
}

static void work_run(struct work *work, bool report)
{
	struct errmsg err = { 0 };
	int r = 0;

	for (;;) {
		uint32_t fold, done;

		pthread_mutex_lock(&work->lock);
		if (r < 0 && !work->error) {
			work->error = r;
			work->err = err;
		}
		fold = work->error ? work->folds->n_folds : work->next++;
		done = work->done;
		pthread_mutex_unlock(&work->lock);
		if (report && work->progress)
			work->progress(work->progress_data, (double)done / MAX(work->folds->n_folds, 1U));
		if (fold >= work->folds->n_folds)
			return;
		r = work_fold(work, fold, &err);
		pthread_mutex_lock(&work->lock);
		work->done++;
		pthread_mutex_unlock(&work->lock);
	}
}

static void *work_thread(void *data)
{
	work_run(data, false);
	return NULL;
}

int folds_each(const struct folds *folds, folds_fn *fn, void *data, folds_progress_fn *progress,
		     void *progress_data, struct errmsg *err)
{
	struct work work = { .folds = folds, .fn = fn, .data = data, .progress = progress,
			     .progress_data = progress_data, .lock = PTHREAD_MUTEX_INITIALIZER };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	int n = 0;

	/* Without more threads it takes longer, that is all. */
	while (n < MIN(cores, THREADS_MAX) - 1 && (uint32_t)n + 1 < folds->n_folds &&
	       !pthread_create(&threads[n], NULL, work_thread, &work))
		n++;
	work_run(&work, true);
	while (n)
		pthread_join(threads[--n], NULL);
	if (work.error && err)
		*err = work.err;
	return work.error;
}
