/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A service that opens, reads twice and closes, over and over: learned into an image, with a policy to judge it by. */
#ifndef IMSAFE_TESTS_SMALL_SERVICE_H
#define IMSAFE_TESTS_SMALL_SERVICE_H

#include <stdlib.h>

#include "model/calibrate.h"
#include "model/freeze.h"
#include "model/learner.h"

enum { READ = 0, CLOSE = 3, POLL = 7, MPROTECT = 10, DUP2 = 33, EXECVE = 59, OPENAT = 257, GETRANDOM = 318 };

/* once: a call that training saw a single time, CALL_INVALID: none. */
static inline void small_service(struct image *image, struct policy *policy, uint16_t once)
{
	static const uint16_t normal[] = { OPENAT, READ, READ, CLOSE };
	struct learner *learner = learner_new(6, NULL, NULL);
	const unsigned means[MEAN_WINDOWS] = { 8 };
	struct counts counts;
	struct errmsg err;

	for (unsigned i = 0; i < 4000; i++) {
		struct event e = { .kind = EVENT_CALL, .tid = 1, .call = i == 2002 && once != CALL_INVALID ? once : normal[i % 4] };

		learner_add(learner, &e, 1);
	}
	learner_end_trace(learner);
	if (learner_counts(learner, &counts) < 0 || freeze(&counts, ARCH_X86_64, image, &err) < 0)
		abort();
	counts_done(&counts);
	learner_free(learner);
	policy_set(policy, 60, means, READING_PREDICTOR);
	policy_arm(policy, image->header, 0);
}

#endif
