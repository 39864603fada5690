/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who made a call: what a sensor saw of a process at the call or when its program began, or what /proc says now. All text is
 * attacker-controlled: escape it where it is shown.
 */
#ifndef IMSAFE_SENSOR_PROCESS_H
#define IMSAFE_SENSOR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/errmsg.h"

#define PROCESS_PARENTS 16

struct process_info {
	bool found;         /* false: nothing is known of it but its id */
	bool ended;         /* has ended since */
	bool early;         /* seen when its program began, not at the call */
	pid_t pid;
	char comm[17];
	char exe[4096];     /* " (deleted)" kept as the kernel gives it; "..." for the beginning of a very long path */
	char build_id[41];  /* of that file, "" if it has none, is not readable or is not there any more */
	char exe_now[4096]; /* what it has executed since, "" = nothing */
	char cmdline[1024]; /* arguments separated by spaces, cut */
	char cgroup[512];   /* unit or container, as in /proc/PID/cgroup */
	uid_t uid;
	char user[64];
	int64_t started;    /* seconds since 1970 */
	uint64_t start;     /* the same in clock ticks since boot: with it the id names one process for good */
	uint64_t arguments; /* where they are in its memory, another place after each execve; 0 = not known */
	struct {
		pid_t pid;
		char comm[17];
	} parents[PROCESS_PARENTS]; /* nearest first */
	unsigned n_parents;
};

/* As /proc has it now. */
void process_lookup(pid_t pid, struct process_info *ret_info);

/* A process that the parent has just forked: but for its id and when it began it is what the parent is. */
void process_forked(const struct process_info *parent, pid_t pid, struct process_info *ret_info);

/* What a sensor saw is completed with what only /proc has, and with what became of the process. */
void process_refresh(struct process_info *info);

/* A moment in nanoseconds since boot as seconds since 1970. */
int64_t process_time(uint64_t boot_ns);

/* What /proc says of a thread, of all that is needed to follow its process. */
struct process_status {
	pid_t pid, parent; /* processes */
	pid_t tracer;      /* thread, 0 = none */
	char state;        /* 'Z': zombie ... */
	unsigned threads;
	bool no_memory;    /* of the kernel, ended, or about to end */
	uid_t uid;         /* effective */
};
int process_status(pid_t tid, struct process_status *ret_status); /* -errno: there is none */

/* The process that a thread, named by a person, stands for; err says in one line why it can't be followed. */
int process_to_follow(pid_t tid, pid_t *ret_pid, struct errmsg *err);

/*
 * Does any process run in this systemd unit now: in a cgroup of the unified hierarchy that is named as the unit, or below it?
 * The name may lack its ".service".
 */
bool process_in_unit(const char *unit);

/* An address in a process as a place in a file, while the process lives. */
struct process_place {
	uint64_t address;
	uint64_t offset; /* in the file */
	char file[128];  /* path, its end if it is long; "" = in none, or not known */
};

/* Looks up all of them in one reading of /proc/PID/maps. */
void process_places(pid_t pid, struct process_place *places, size_t n);

/* "/proc/PID/maps" line that holds the address, e.g. "7ffd...-7ffd... rwxp [stack]"; -ENOENT if there is none. */
int process_mapping(pid_t pid, uint64_t address, char *ret_line, size_t size);

#endif
