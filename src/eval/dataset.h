/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labelled traces in folders. Two layouts:
 *   training/ normal/ attack/   fitted on training, tested on the rest
 *   normal/ attack/             normals are tested by cross-validation, attacks by what all normals teach
 * attack/ (or intrusion/) holds a folder per attack, or files that are an attack each. What is tested is a unit: one
 * process of a normal file; all of an attack's file, because processes in it may well be normal.
 */
#ifndef IMSAFE_EVAL_DATASET_H
#define IMSAFE_EVAL_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "model/session.h"
#include "trace/arch.h"

enum role { ROLE_TRAINING, ROLE_NORMAL, ROLE_ATTACK };

struct process {
	struct session session; /* symbols owned by the data set */
	uint64_t hash;
};

struct unit {
	enum role role;
	uint32_t attack;        /* ROLE_ATTACK: index into attacks */
	uint32_t first, n;      /* processes */
	uint32_t file;
};

/* An instance of an attack. Its kind is its name without the number at the end. */
struct attack {
	char *name;
	uint32_t kind;          /* index into kinds */
	uint32_t units;
};

struct dataset {
	char *name;
	enum syscall_arch arch;
	bool has_training;
	struct process *processes;
	size_t n_processes, allocated_processes;
	struct unit *units;     /* in order of role, then of name */
	size_t n_units, allocated_units;
	size_t roles[ROLE_ATTACK + 1]; /* units of each */
	struct attack *attacks;
	size_t n_attacks;
	char **kinds;
	size_t n_kinds;
	size_t files;
	uint64_t calls;
};

/* Whether a folder looks like a data set. */
bool dataset_is(const char *path);

/* progress (may be NULL) is told the share that has been read. 0 or -errno with err filled. */
int dataset_load(const char *path, const char *name, void (*progress)(void *data, double share), void *data,
		 struct dataset **ret_set, struct errmsg *err);
struct dataset *dataset_free(struct dataset *set);
DEFINE_CLEANUP(struct dataset *, dataset_free)

#endif
