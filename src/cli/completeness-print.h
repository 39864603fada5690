/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completeness for people, as JSON and as a picture: for learn and profile show. */
#ifndef IMSAFE_CLI_COMPLETENESS_PRINT_H
#define IMSAFE_CLI_COMPLETENESS_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "model/completeness.h"
#include "trace/arch.h"

/* One line: the word and the estimate. */
void completeness_print_line(const struct completeness *completeness, FILE *out);

/* All of it: what it rests on, the curve, the forecast, what is thinly covered. */
void completeness_print(const struct completeness *completeness, enum syscall_arch arch, FILE *out);

json_t *completeness_json(const struct completeness *completeness, enum syscall_arch arch); /* NULL without memory */

/* The curve into a file, by the end of its name SVG, PNG or PDF. */
int completeness_plot(const struct completeness *completeness, const char *path, struct errmsg *err);

#endif
