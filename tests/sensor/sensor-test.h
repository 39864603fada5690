/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of the driver have in common. */
#ifndef IMSAFE_TESTS_SENSOR_TEST_H
#define IMSAFE_TESTS_SENSOR_TEST_H

#include <bpf/bpf.h>
#include <dirent.h>
#include <string.h>

#include "base/cleanup.h"
#include "sensor/driver-check.h"
#include "../tap.h"

/* Skips all tests, with the reason, where the kernel or the privileges do not allow the driver; else it has to work. */
static inline void need_driver(void)
{
	struct driver_check check;
	struct errmsg err = { 0 };

	driver_check(&check);
	if (driver_missing(&check, &err) < 0)
		tap_skip_all(err.text);
	if (!check.find_vma)
		tap_skip_all("the kernel cannot look up where calls come from (it is older than 5.17)");
}

/* Does another process hold this map? Other guards may be at work on this machine. */
static inline bool is_anothers(uint32_t map)
{
	_cleanup_closedir_ DIR *processes = opendir("/proc");
	char path[600], line[128];
	struct dirent *process, *entry;

	while (processes && (process = readdir(processes))) {
		_cleanup_closedir_ DIR *files = NULL;

		if (strspn(process->d_name, "0123456789") != strlen(process->d_name) || atol(process->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fdinfo", process->d_name);
		files = opendir(path);
		while (files && (entry = readdir(files))) {
			_cleanup_fclose_ FILE *info = NULL;
			unsigned id;

			snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", process->d_name, entry->d_name);
			info = fopen(path, "re");
			while (info && fgets(line, sizeof(line), info))
				if (sscanf(line, "map_id: %u", &id) == 1 && id == map)
					return true;
		}
	}
	return false;
}

/* The driver's maps that the kernel holds for us, or for nobody. */
static inline unsigned count_objects(void)
{
	unsigned n = 0;

	for (uint32_t id = 0; !bpf_map_get_next_id(id, &id);) {
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info);
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		    (!strcmp(info.name, "threads") || !strcmp(info.name, "rings") || !strcmp(info.name, "images")))
			n += !is_anothers(id);
	}
	return n;
}

/* Waits until that many are left: the kernel frees them a little later. */
static inline unsigned count_down_to(unsigned wanted)
{
	unsigned n = count_objects();

	for (int i = 0; i < 50 && n > wanted; i++) {
		usleep(100000);
		n = count_objects();
	}
	return n;
}

#endif
