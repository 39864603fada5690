/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Outliers for people and as JSON. */
#ifndef IMSAFE_CLI_OUTLIERS_PRINT_H
#define IMSAFE_CLI_OUTLIERS_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "model/outlier.h"
#include "model/profile.h"

/* Which sessions, and what about them. left_out: they were not learned. -errno with err filled. */
int outliers_print(struct profile *profile, const struct outliers *outliers, bool left_out, FILE *out, struct errmsg *err);

json_t *outliers_json(struct profile *profile, const struct outliers *outliers); /* NULL without memory */

#endif
