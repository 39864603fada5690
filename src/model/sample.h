/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sample of sessions of one source, in memory: the same rule as in the profile (profile.h, profile-sessions.c). */
#ifndef IMSAFE_MODEL_SAMPLE_H
#define IMSAFE_MODEL_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "model/session.h"

struct sampled {
	uint64_t hash, copies;
	struct session session; /* owned */
};

struct sample {
	struct sampled *sessions; /* in order of hash */
	size_t n, symbols;
	uint64_t limit;           /* set before the first session */
};

int sample_add(struct sample *sample, const struct session *session); /* -ENOMEM */
void sample_done(struct sample *sample);

#endif
