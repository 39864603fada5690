/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What recording and guarding have in common on the user side of the driver: loading, targets, threads that were there
 * before, commands. The BPF object is the includer's skeleton's; follow.bpf.h is its kernel half.
 */
#ifndef IMSAFE_SENSOR_DRIVER_H
#define IMSAFE_SENSOR_DRIVER_H

#include <bpf/libbpf.h>
#include <sys/stat.h>

#include "sensor/driver-abi.h"
#include "sensor/driver-check.h"
#include "sensor/process.h"
#include "sensor/sensor.h"

/* A target that is a file or a cgroup: what its name leads to can be replaced, by a package's upgrade for one. */
#define DRIVER_FORMER 4
union driver_key {
	struct driver_file file;
	uint64_t id; /* of a cgroup */
};
struct driver_named {
	char *path;
	unsigned application;
	bool group;
	struct stat st;      /* what it led to when we last looked */
	unsigned n;          /* how many it has led to */
	union driver_key former[DRIVER_FORMER]; /* the latest of them: processes may run a file that was replaced */
};

struct driver {
	struct bpf_object_skeleton *skeleton;
	struct driver_shared *shared;
	struct driver_check check;
	int seed;              /* link of the iterator */
	int files, groups, names, follow; /* maps */
	struct driver_named *named; /* targets */
	size_t n_named;
	uint64_t renewed;      /* ms: when their names were last looked up */
	uint64_t regrouped;    /* shared->regroup when we last looked */
	uint64_t orphaned;     /* likewise */
	unsigned looks;        /* for driver_has_threads() */
	struct driver_known {  /* the executables that were asked for last */
		struct driver_file file;
		struct stat st;
		char build_id[41];
	} known[8];
	unsigned n_known;
};

/* Checks what must be there; then loading and attaching, without libbpf talking. */
int driver_init(struct driver *driver, struct errmsg *err);
int driver_load(struct driver *driver, struct bpf_object_skeleton *skeleton, struct errmsg *err);
int driver_forbidden(struct errmsg *err); /* -EPERM, with its reason */
int driver_attach(struct driver *driver, struct driver_shared *shared, struct errmsg *err);
void driver_done(struct driver *driver); /* of what driver_add_target() has made; the skeleton is its owner's */

/* Asks the kernel under which identity it knows a file: stat's device number is another on some file systems. */
int driver_identify(struct driver *driver, const char *path, struct driver_file *ret_file, struct errmsg *err);

/* What the kernel side said of a process; the build-id is that of the very file, if that can still be found. */
void driver_process_info(struct driver *driver, const struct driver_process *process, struct process_info *ret_info);

/* Is this open file (O_PATH will do) the one that the kernel speaks of? */
bool driver_is_file(struct driver *driver, int fd, const struct driver_file *file);

/*
 * Makes a target part of an application (from 1). *follow gets the FOLLOW_ flags that the kind of target asks for.
 * Processes that are already there are followed by driver_seed() after all targets.
 */
int driver_add_target(struct driver *driver, unsigned application, const struct target *target, struct errmsg *err);
int driver_set_follow(struct driver *driver, unsigned application, const struct target *targets, size_t n, bool fork,
		      bool exec);

/* Takes the targets of an application out of the tables. */
int driver_remove_targets(struct driver *driver, unsigned application);

/* Looks, now and then, where the targets' names lead. True if one leads to another file or cgroup than before. */
bool driver_renew_targets(struct driver *driver);

/*
 * How often the kernel did not run this program of the driver (NULL: any of those that follow and judge), because it was running
 * on that CPU already: newer kernels let it be preempted. Counts what other processes did, too.
 */
uint64_t driver_misses(const struct driver *driver, const char *program);

/* Is any thread followed now? */
bool driver_has_threads(struct driver *driver);

typedef int driver_seeded_fn(void *data, const struct seeded *thread);

/* Runs the iterator; fn (may be NULL) is called for every thread that it acted on. Returns how many, or -errno. */
int driver_seed(struct driver *driver, enum driver_seed what, unsigned application, pid_t pid, unsigned pending,
		driver_seeded_fn *fn, void *data);

/* Follows a process with all its threads; named by any of them. */
int driver_follow_process(struct driver *driver, unsigned application, pid_t tid, unsigned pending, driver_seeded_fn *fn,
			  void *data, struct errmsg *err);

/*
 * Follows the threads that could not be followed when they were met, if there are any; as driver_seed(). Before the
 * application is promised to be followed, pending is 0; later such a thread has PENDING_ATTACH | PENDING_LOST to say.
 */
int driver_adopt(struct driver *driver, unsigned pending, driver_seeded_fn *fn, void *data);

/* To be called regularly: follows processes that were moved between cgroups, targets that were replaced, and orphans. */
int driver_tend(struct driver *driver);

/* log2 of this kernel's page size, for the kernel side. */
uint32_t driver_page_shift(void);

#endif
