/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who made a call: what /proc says of a process. All text is attacker-controlled: escape it where it is shown. */
#ifndef IMSAFE_ALARM_PROCESS_H
#define IMSAFE_ALARM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_PARENTS 16

struct process_info {
	bool found;         /* false: already gone; the rest is empty */
	pid_t pid;
	char comm[17];
	char exe[4096];     /* " (deleted)" kept as the kernel gives it */
	char build_id[41];  /* of the running executable, "" if none or not readable */
	char cmdline[1024]; /* arguments separated by spaces, cut */
	char cgroup[512];   /* unit or container, as in /proc/PID/cgroup */
	uid_t uid;
	char user[64];
	int64_t started;    /* seconds since 1970 */
	struct {
		pid_t pid;
		char comm[17];
	} parents[PROCESS_PARENTS]; /* nearest first */
	unsigned n_parents;
};

void process_lookup(pid_t pid, struct process_info *ret_info);

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
