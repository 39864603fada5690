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

#endif
