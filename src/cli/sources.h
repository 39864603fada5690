/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trace files named on a command line: files, "-", and folders with everything below them. */
#ifndef IMSAFE_CLI_SOURCES_H
#define IMSAFE_CLI_SOURCES_H

#include <stddef.h>
#include <sys/types.h>

#include "base/errmsg.h"

struct sources {
	char **paths;
	size_t n, allocated;
	off_t bytes; /* of all files together */
	off_t *sizes;
};

/*
 * Adds a path. A folder's files are added in order of name, without hidden ones, recordings under way (.part) and the file
 * at except (may be NULL) with its journal. -errno with err filled.
 */
int sources_add(struct sources *sources, const char *path, const char *except, struct errmsg *err);
void sources_done(struct sources *sources);

#endif
