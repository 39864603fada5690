/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing: counts become an image. Witten-Bell interpolation over contexts c_n (the previous n symbols), in doubles:
 *   p_n(s) = (count(c_n, s) + T p_{n-1}(s)) / (N + T),  p_{-1} = 1 / ALPHABET
 * N = occurrences of c_n, T = its distinct successors (Witten and Bell 1991). The same counts give the same image, byte
 * for byte.
 *
 * A call's surprise is -log2 p bits, that of backing off -log2(T / (N + T)). Some contexts are surprising by nature: what
 * a poll loop finds to do comes in any order. So a surprise weighs more where surprises are rare and less where they are
 * common. With V the variance of the surprise that the profile expects of the next call in context c, and V_0 the root's:
 *   cost = -log2 p * sqrt((1 + V_0) / (1 + V)),  back-off cost = -log2(T / (N + T)) * sqrt((1 + V_0) / (1 + V))
 * in COST_BIT, rounded once; at the root, where the weight is 1, a call never seen takes ALPHABET_BITS more. The expectation
 * is Witten-Bell's own: a seen call brings its surprise with probability count / (N + T), any other one
 * brings -log2(T / (N + T)) and what the shorter context is expected to. Evidence: bench/detection.md.
 */
#ifndef IMSAFE_MODEL_FREEZE_H
#define IMSAFE_MODEL_FREEZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "core/image.h"
#include "model/counts.h"
#include "trace/arch.h"

enum freeze_cost {
	FREEZE_WEIGHED,  /* as above */
	FREEZE_SURPRISE, /* the plain surprise, to compare with */
};

/* An image in one allocation, header first; image_free() frees it. */
int freeze_as(const struct counts *counts, enum syscall_arch arch, enum freeze_cost cost, struct image *ret_image,
	      struct errmsg *err);
/* With FREEZE_WEIGHED. */
int freeze(const struct counts *counts, enum syscall_arch arch, struct image *ret_image, struct errmsg *err);
void image_free(struct image *image);

/*
 * image_header.origins: the foreign origins that belong to the application's normal life, because at least half of the
 * sessions, and at least two, made calls from there.
 */
uint16_t freeze_origins(const struct counts *counts);

/* What image_header.checksum holds. */
uint64_t image_checksum(const struct cell *cells, uint32_t n);

/*
 * Checks an image from outside completely (sizes, checksum, every link inside, suffix links ending at the root), so that
 * score_step() can trust it. 0 or -EBADMSG, -EPROTONOSUPPORT (newer) with err filled.
 */
int image_check(const void *data, size_t size, const char *name, struct image *ret_image, struct errmsg *err);

/* Enumerating what the profile expects in a state, for explanations: fills up to n edges, most frequent first. */
struct expectation {
	uint16_t call;   /* symbol */
	uint32_t count;
	double share;    /* of the context's occurrences, 0..1 */
};
size_t image_expected(const struct image *image, uint32_t node, struct expectation *expected, size_t n);

#endif
