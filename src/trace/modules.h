/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files that calls came from: what the module index of a call site means. Index 0 is "no file". */
#ifndef IMSAFE_TRACE_MODULES_H
#define IMSAFE_TRACE_MODULES_H

#include <stdint.h>

#include "base/cleanup.h"

#define MODULE_MAX 65535

struct module {
	char *path;       /* as mapped, not escaped */
	char build_id[41]; /* hex, "" if the file has none */
	uint64_t device, inode; /* 0 if not known (read from a trace) */
};

struct modules {
	struct module *module; /* module[1 .. n-1] */
	unsigned n;            /* first unused index, at least 1 */
	unsigned allocated;
};

void modules_init(struct modules *modules);
void modules_done(struct modules *modules);

/* Index of the module with that path and build-id (may be NULL), 0 if there is none. */
unsigned modules_find(const struct modules *modules, const char *path, const char *build_id, uint64_t device, uint64_t inode);
/* The same, added if new; -ENOMEM, -ENOSPC at MODULE_MAX. */
int modules_add(struct modules *modules, const char *path, const char *build_id, uint64_t device, uint64_t inode);
/* The same without looking whether it is there: for traces, whose modules are numbered in order. */
int modules_append(struct modules *modules, const char *path, const char *build_id);
const struct module *modules_get(const struct modules *modules, unsigned index); /* NULL if there is none */

/* Reads the GNU build-id of an ELF file into hex; -ENODATA if it has none. Never trusts the file. */
int build_id_read(const char *path, char ret_hex[41]);

#endif
