/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One mapping of a process's address space, asked of the kernel: by ioctl where it has that (6.11), else from the text. */
#ifndef IMSAFE_SENSOR_MAPPING_H
#define IMSAFE_SENSOR_MAPPING_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uint64_t start, end, offset;
	uint64_t inode;
	uint32_t device_major, device_minor;
	bool writable, executable;
	char name[PATH_MAX + 16]; /* "/lib/x.so", "[heap]", "" */
};

int mapping_find(pid_t pid, uint64_t address, struct mapping *ret_mapping); /* -ENOENT: nothing is mapped there */
int mapping_find_text(pid_t pid, uint64_t address, struct mapping *ret_mapping); /* the way of older kernels */

static inline bool mapping_has_file(const struct mapping *mapping)
{
	return mapping->inode || mapping->name[0] == '/';
}

void mapping_build_id(const struct mapping *mapping, pid_t pid, char ret_hex[41]); /* "" if none is found */

#endif
