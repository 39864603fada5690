/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Independent jobs on all cores. */
#ifndef IMSAFE_EVAL_PARALLEL_H
#define IMSAFE_EVAL_PARALLEL_H

#include <stddef.h>

/* One job; negative stops the rest. */
typedef int parallel_fn(void *data, size_t job);
/* Told after each job, by one thread at a time. */
typedef void parallel_progress_fn(void *data, double share);

/* Runs fn for jobs 0 to n - 1 with so many threads (0: a thread a core). The first error, or 0. */
int parallel_for(size_t n, unsigned threads, parallel_fn *fn, void *data, parallel_progress_fn *progress,
		 void *progress_data);

#endif
