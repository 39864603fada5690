/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this machine and this process allow the driver to do. */
#ifndef IMSAFE_SENSOR_DRIVER_CHECK_H
#define IMSAFE_SENSOR_DRIVER_CHECK_H

#include <stdbool.h>

#include "base/errmsg.h"

/*
 * Since these kernels the driver can be loaded (task storage in tracing programs, functions handed to helpers) and look up
 * where calls come from. On aarch64 the kernel compiles the atomic instructions that it needs from 5.18 on only.
 */
#ifdef __aarch64__
#define DRIVER_KERNEL_MINOR  18
#define DRIVER_ORIGINS_MINOR 18
#define DRIVER_KERNEL_FULL   "5.18"
#define DRIVER_KERNELS       "5.18"
#else
#define DRIVER_KERNEL_MINOR  13
#define DRIVER_ORIGINS_MINOR 17
#define DRIVER_KERNEL_FULL   "5.17"
#define DRIVER_KERNELS       "5.13 (5.17 to see where calls come from)"
#endif

struct driver_check {
	char release[128];    /* of the kernel */
	bool kernel;          /* new enough for the driver at all */
	bool btf;             /* the kernel describes its types */
	bool cap_bpf, cap_perfmon; /* the privileges, or root's */
	bool cap_ptrace;      /* to name the files of other users' processes */
	bool confidentiality; /* the kernel is locked down against being read */
	bool preempts;        /* the kernel preempts tasks inside of the driver's programs, and keeps others from running them then */
	bool tracefs;         /* but those that are attached by way of tracefs run as a whole: it can be read */
	bool pid_namespace;   /* we are in a PID namespace of our own: thread ids are others than the kernel's */
	bool find_vma;        /* calls' origins can be looked up */
	char cgroup2[256];    /* where the unified hierarchy is mounted, "" if it is not */
};

void driver_check(struct driver_check *ret_check);

/* 0 if nothing that the driver must have is missing, else -ENOSYS or -EPERM with everything missing named in err. */
int driver_missing(const struct driver_check *check, struct errmsg *err);

#endif
