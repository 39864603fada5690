/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "trace/modules.h"

/* linux/fs.h of 6.11; older headers lack it. */
struct query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t device_major, device_minor;
	uint32_t name_size, build_id_size;
	uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)
#define QUERY_WRITABLE   0x02
#define QUERY_EXECUTABLE 0x04

static int open_maps(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int find_by_query(int fd, uint64_t address, struct mapping *ret_mapping)
{
	struct mapping *mapping = ret_mapping;
	struct query query = {
		.size = sizeof(query),
		.address = address,
		.name = (uintptr_t)mapping->name,
		.name_size = sizeof(mapping->name),
	};

	mapping->name[0] = '\0';
	if (ioctl(fd, QUERY, &query) < 0)
		return -errno;
	mapping->start = query.start;
	mapping->end = query.end;
	mapping->offset = query.offset;
	mapping->inode = query.inode;
	mapping->device_major = query.device_major;
	mapping->device_minor = query.device_minor;
	mapping->writable = query.vma_flags & QUERY_WRITABLE;
	mapping->executable = query.vma_flags & QUERY_EXECUTABLE;
	if (!query.name_size)
		mapping->name[0] = '\0';
	return 0;
}

static int query_build_id(pid_t pid, uint64_t address, char ret_hex[41])
{
	unsigned char build_id[20];
	struct query query = {
		.size = sizeof(query),
		.address = address,
		.build_id = (uintptr_t)build_id,
		.build_id_size = sizeof(build_id),
	};
	int fd = open_maps(pid), r;

	if (fd < 0)
		return fd;
	r = ioctl(fd, QUERY, &query) < 0 ? -errno : 0;
	close(fd);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < MIN(query.build_id_size, sizeof(build_id)); i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", build_id[i]);
	return query.build_id_size ? 0 : -ENODATA;
}

/* The kernel writes a newline in a name as \012. */
static void unescape(char *name)
{
	char *to = name;

	for (const char *from = name; *from; to++) {
		if (!strncmp(from, "\\012", 4)) {
			*to = '\n';
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static int find_by_text(FILE *maps, uint64_t address, struct mapping *ret_mapping)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, maps) > 0) {
		unsigned long long start, end, offset, inode;
		unsigned device_major, device_minor;
		char permissions[5];
		int at = 0;

		if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, permissions, &offset, &device_major,
			   &device_minor, &inode, &at) < 7 || !at)
			continue;
		if (address < start || address >= end)
			continue;
		*ret_mapping = (struct mapping){
			.start = start,
			.end = end,
			.offset = offset,
			.inode = inode,
			.device_major = device_major,
			.device_minor = device_minor,
			.writable = permissions[1] == 'w',
			.executable = permissions[2] == 'x',
		};
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret_mapping->name, sizeof(ret_mapping->name), "%s", line + at);
		unescape(ret_mapping->name);
		return 0;
	}
	return ferror(maps) ? -EIO : -ENOENT;
}

int mapping_find_text(pid_t pid, uint64_t address, struct mapping *ret_mapping)
{
	_cleanup_fclose_ FILE *maps = NULL;
	int fd = open_maps(pid);

	if (fd < 0)
		return fd;
	maps = fdopen(fd, "r");
	if (!maps) {
		close(fd);
		return -ENOMEM;
	}
	return find_by_text(maps, address, ret_mapping);
}

int mapping_find(pid_t pid, uint64_t address, struct mapping *ret_mapping)
{
	int fd = open_maps(pid), r;

	if (fd < 0)
		return fd;
	r = find_by_query(fd, address, ret_mapping);
	close(fd);
	return r == -ENOTTY || r == -EINVAL || r == -ENAMETOOLONG || r == -EOPNOTSUPP ?
		       mapping_find_text(pid, address, ret_mapping) : r;
}

void mapping_build_id(const struct mapping *mapping, pid_t pid, char ret_hex[41])
{
	char path[sizeof(mapping->name) + 64];

	*ret_hex = '\0';
	if (query_build_id(pid, mapping->start, ret_hex) >= 0)
		return;
	/* The mapped file itself, whatever its name means by now; that takes privileges. Else the name as the process sees it. */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)mapping->start,
		 (unsigned long long)mapping->end);
	if (build_id_read(path, ret_hex) >= 0)
		return;
	*ret_hex = '\0';
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, mapping->name);
	if (build_id_read(path, ret_hex) < 0)
		*ret_hex = '\0';
}
