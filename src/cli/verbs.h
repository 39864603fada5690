/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of the command line, each in verb-NAME.c. */
#ifndef IMSAFE_CLI_VERBS_H
#define IMSAFE_CLI_VERBS_H

#include "base/options.h"

/* Exit statuses that all verbs share. */
enum {
	EXIT_OK = 0,
	EXIT_ALARM = 1, /* monitor: an alarm was raised; diff: the profiles differ; check: not healthy */
	EXIT_ERROR = 2,
};

extern const struct verb *const verbs[]; /* NULL at the end */

extern const struct verb verb_doctor;
extern const struct verb verb_eval;
extern const struct verb verb_help;
extern const struct verb verb_lab;
extern const struct verb verb_learn;
extern const struct verb verb_monitor;
extern const struct verb verb_plot;
extern const struct verb verb_profile;
extern const struct verb verb_trace;

/* The list of verbs with what each does. */
void verbs_usage(FILE *out);

/*
 * Runs a verb under the name that was typed, "imsafe profile show" or "ims-monitor", which then is argv[0] and stands before
 * its messages: in a pipeline of several it tells who speaks. program NULL: "imsafe VERB".
 */
int verb_run(const struct verb *verb, const char *program, int argc, char **argv);

/* A verb by its name, "profile show" for one of its verbs; NULL if there is none. */
const struct verb *verb_find(const struct verb *const *list, const char *name);

#endif
