/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What 'imsafe eval' shows of an evaluation: tables for people, JSON, CSV, the ROC curve. */
#ifndef IMSAFE_CLI_EVAL_REPORT_H
#define IMSAFE_CLI_EVAL_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "eval/evaluate.h"

/* each: a table for every attack, not only for every kind. */
void eval_report_text(const struct evaluation *evaluation, bool each, FILE *out);

/* A header line, then a line a figure: data set, split, detector, what of it, its name, its size, measure, value, interval. */
void eval_report_csv_header(FILE *out);
void eval_report_csv(const struct evaluation *evaluation, FILE *out);

/* A new object, NULL without memory. */
json_t *eval_report_json(const struct evaluation *evaluation);

/* SVG, PNG or PDF by the end of the name. */
int eval_report_chart(const struct evaluation *evaluation, const char *path, struct errmsg *err);

#endif
