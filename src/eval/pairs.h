/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Look-ahead pairs (Somayaji and Forrest 2000): which call was seen how far behind which other. For comparison only. */
#ifndef IMSAFE_EVAL_PAIRS_H
#define IMSAFE_EVAL_PAIRS_H

#include <stddef.h>
#include <stdint.h>

#include "model/session.h"

struct pairs;

struct pairs *pairs_new(unsigned window); /* calls in it, this one included; NULL without memory */
struct pairs *pairs_free(struct pairs *pairs);
void pairs_add(struct pairs *pairs, const struct session *session);

/* A call costs the share of its pairs that was never seen, times COST_MAX. */
size_t pairs_costs(const struct pairs *pairs, const struct session *session, uint16_t *costs);

#endif
