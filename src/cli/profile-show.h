/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A profile for people, and as JSON. */
#ifndef IMSAFE_CLI_PROFILE_SHOW_H
#define IMSAFE_CLI_PROFILE_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "model/profile.h"

/* What a profile is of and how much it has learned, in a few lines. counts: profile_counts(). */
void profile_print_summary(struct profile *profile, const struct counts *counts, FILE *out);

/* What a person must know before trusting it: gaps, code that makes calls from odd memory. */
void profile_print_warnings(const struct counts *counts, const char *program, FILE *out);

/* What profile_print_summary() says and where calls came from, as an object; NULL without memory. */
json_t *profile_json(struct profile *profile, const struct counts *counts);

/* "2026-11-26 13:20", local time. Returns buffer. */
const char *date_text(int64_t date, char *buffer, size_t size);

/* A date on the command line: YYYY-MM-DD, "YYYY-MM-DD HH:MM" or @SECONDS; -EINVAL. */
int date_parse(const char *text, int64_t *ret_date);

/* The calls of a gram in words, oldest first: "@fork openat read". Returns buffer, cut if it is too small. */
const char *gram_text(enum syscall_arch arch, const struct gram *gram, char *buffer, size_t size);

/* The verbs of 'imsafe profile'. */
struct verb;
extern const struct verb verb_profile_show, verb_profile_diff;

#endif
