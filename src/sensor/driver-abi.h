/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the BPF programs and their user side agree on. Plain data, included by both; BPF includes kernel.bpf.h before. */
#ifndef IMSAFE_SENSOR_DRIVER_ABI_H
#define IMSAFE_SENSOR_DRIVER_ABI_H

#include "core/event.h"

#define DRIVER_APPLICATIONS 63 /* numbered from 1 */
#define DRIVER_THREADS_MAX  65536
#define DRIVER_TARGETS_MAX  1024 /* of each kind */

/* How an application is followed: driver_application.follow. */
enum {
	FOLLOW_FORK = 1,   /* children belong to it */
	FOLLOW_EXEC = 2,   /* it stays itself when it executes another program */
};

/* A file by identity, as the kernel has it (stat's device may be another): the generation tells it from later ones of that number. */
struct driver_file {
	__u64 inode;
	__u32 device, generation;
};

/* A cgroup by the name of its directory, so that a unit that is started again is found again. */
#define DRIVER_NAME_MAX 128
struct driver_name {
	char name[DRIVER_NAME_MAX];
};

/* What a task has to do at its next call, before the call itself is looked at. */
enum {
	PENDING_ATTACH = 1,  /* announce itself */
	PENDING_FORK = 2,
	PENDING_EXEC = 4,
	PENDING_LOST = 8,    /* say how many calls of it were lost */
	PENDING_LEAVE = 16,  /* say goodbye: it no longer belongs to the application */
	PENDING_COMMAND = 32, /* wait: it belongs to the application from its exec on */
	PENDING_PROCESS = 64, /* recording: say who it is; PENDING_ATTACH means that, too */
};

/* What every follower keeps per thread, first in its own record. */
struct followed {
	union {
		struct {
			__u32 application; /* from 1; 0: being set up */
			__u32 pending;
		};
		__u64 standing; /* both, for who needs them as they were at one moment */
	};
	__u32 ended;       /* 1 once its end has been accounted for */
	__u32 pid;
	__u32 parent;      /* for PENDING_FORK: who made it; for PENDING_EXEC: its former thread id */
	__u32 by_group;    /* 1: it belongs to the application by its cgroup alone, and leaves it with that */
};

/* Changes of an application's executable memory, by any of its threads. */
struct memory_changes {
	__u32 n;         /* asked for or over */
	__u32 under_way; /* threads that have asked for one and made no call since */
};

/* The mapping that calls came from last. All zero: none. Classes are those of sensor/origin.h. */
struct origin_cache {
	__u64 start, size;
	__u64 delta;   /* address + delta = offset in the file */
	__u64 module;  /* SITE(module, 0), where modules are wanted */
	__u32 changes; /* memory_changes.n when it was looked up, or a number that it never is while a change was under way */
	__u8 class;    /* enum event_origin */
	__u8 changing; /* the call before may have changed mappings */
	__u8 has_file;
	__u8 unsettled; /* a change was under way: to be looked up again at the next call */
};

/* What the seeding iterator is asked to do. */
enum driver_seed {
	SEED_PROCESS,  /* follow all threads of seed_pid */
	SEED_COMMAND,  /* the same, from its exec on */
	SEED_MATCHING, /* follow what matches the tables */
	SEED_ORPHANS,  /* follow those that could not be followed when they were met */
	SEED_RELEASE,  /* let all threads of seed_application go */
	SEED_IDENTIFY, /* which file is our own descriptor seed_fd? */
	SEED_LIVING,   /* find all that are followed */
};

/* What it answers: a record per thread. */
struct seeded {
	__u32 tid, pid;
};

/* A thread that could not be followed when it was met. */
struct driver_orphan {
	__u64 start_time; /* its id alone may be another's by now */
	__u32 application;
	__u32 by_group;   /* as in struct followed */
};

/*
 * Who a process is, as the kernel has it at that moment. Paths are their names from the last one up, each ended by NUL;
 * a path that is longer than there is room for lacks its beginning.
 */
#define DRIVER_PARENTS   8
#define DRIVER_NAMES     24  /* of a path at most */
#define DRIVER_NAME_SIZE 256 /* NAME_MAX and a NUL */
#define DRIVER_PATH      512 /* a power of two; a last name may begin just before */
#define DRIVER_ARGUMENTS 256 /* a power of two */
struct driver_process {
	__u64 started;           /* ns since boot */
	struct driver_file exe;  /* all zero: none */
	__u64 arguments_at;      /* in its memory: another place after each execve */
	__u32 pid;               /* written last */
	__u32 uid;
	struct {
		__u32 pid;       /* 0: there is none */
		char comm[16];
	} parents[DRIVER_PARENTS]; /* nearest first */
	char comm[16];
	__u16 path_size, group_size, arguments_size; /* bytes of them in use */
	__u8 path_cut, deleted;  /* of the executable: the path's beginning is missing; it has no name any more */
	__u8 compat;             /* a program of the other width, e.g. of 32 bits */
	char path[DRIVER_PATH + DRIVER_NAME_SIZE];
	char group[DRIVER_PATH + DRIVER_NAME_SIZE];
	char arguments[DRIVER_ARGUMENTS]; /* each ended by NUL, but for a last one that is cut */
};

/* What both sides read and write in place. */
struct driver_shared {
	/* counted by the kernel side */
	__u64 threads;     /* followed now */
	__u64 started;     /* ever */
	__u64 refused;     /* threads not followed, because they were too many */
	__u64 orphaned;    /* threads not followed at first: no memory, or the kernel was busy with another's storage */
	__u64 lost_calls;  /* recording: of threads that ended with their loss unsaid, and even that could not be kept */
	__u64 lost_exits;  /* recording: threads whose end could not be put in a ring */
	__u64 regroup;     /* processes that came to or left a cgroup */
	__u64 modules;     /* recording: files seen calls from */

	/* set by user space: which tables have entries (others are not looked at), and the seeding iterator's order */
	__u32 have_files, have_groups;
	__u64 root_group; /* cgroup id: units lie below it */
	__u32 seed_what, seed_application, seed_pid, seed_fd;
	__u32 seed_pending;
	__u32 reserved;
	struct driver_file seed_file; /* SEED_IDENTIFY's answer */
};

/* Fixed when recording starts. */
struct record_config {
	__u8 times, origins, sites, processes;
};

/* Recording: a ring's record is a struct event, or with this kind: wait until ring "call" has been read up to "lost". */
#define RECORD_MOVED 0x80

/*
 * Recording: an event of this kind, and nothing else in it, stands before a struct driver_process. It comes after the FORK,
 * ATTACH or EXEC with which a process begins; there may be no room for it.
 */
#define RECORD_PROCESS 0x81

/* A file that calls came from, as first met. */
struct driver_module {
	__u32 index; /* from 1 */
	__u32 pid;   /* where to find its name: the mapping of this process */
	__u64 start; /* that begins here */
};
#define DRIVER_MODULES_MAX 8192

#endif
