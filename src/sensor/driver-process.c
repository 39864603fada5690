/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel side says of a process, in the words of everyone else. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "sensor/driver.h"

/* "ls\0bin\0usr\0" becomes "/usr/bin/ls". */
static void join_names(const char *names, size_t size, bool cut, char *path, size_t path_size)
{
	size_t at = 0, end = size;

	*path = '\0';
	if (cut)
		at = (size_t)snprintf(path, path_size, "...");
	while (end && at < path_size) {
		size_t start = end - 1; /* at the NUL */

		while (start && names[start - 1])
			start--;
		at += (size_t)snprintf(path + at, path_size - at, "/%s", names + start);
		end = start;
	}
}

/* A build-id that was found before and whose file is still as it was. */
static const char *known_build_id(struct driver *driver, const struct driver_file *file, const struct stat *st)
{
	for (unsigned i = 0; i < MIN(driver->n_known, ARRAY_SIZE(driver->known)); i++) {
		const struct driver_known *known = &driver->known[i];

		if (!memcmp(&known->file, file, sizeof(*file)) && known->st.st_dev == st->st_dev && known->st.st_ino == st->st_ino &&
		    known->st.st_size == st->st_size && !memcmp(&known->st.st_ctim, &st->st_ctim, sizeof(st->st_ctim)))
			return known->build_id;
	}
	return NULL;
}

/* Whatever is opened, a FIFO or a device put in the file's place for us to find, is looked at before it is read. */
static bool take_build_id(struct driver *driver, const char *path, const struct driver_file *file, char ret_build_id[41])
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct driver_known *known;
	const char *before;
	char ours[64];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	before = known_build_id(driver, file, &st);
	if (before) {
		memcpy(ret_build_id, before, sizeof(driver->known->build_id));
		return true;
	}
	if (!driver_is_file(driver, fd, file))
		return false;
	snprintf(ours, sizeof(ours), "/proc/self/fd/%d", fd);
	if (build_id_read(ours, ret_build_id) < 0)
		*ret_build_id = '\0';
	known = &driver->known[driver->n_known++ % ARRAY_SIZE(driver->known)];
	*known = (struct driver_known){ .file = *file, .st = st };
	memcpy(known->build_id, ret_build_id, sizeof(known->build_id));
	return true;
}

/* The file is the process's own as long as that lives; else what its path leads to, if that is still the same file. */
static void find_build_id(struct driver *driver, const struct driver_process *process, const char *path, char ret_build_id[41])
{
	char theirs[64 + PATH_MAX];

	*ret_build_id = '\0';
	if (!process->exe.inode)
		return;
	snprintf(theirs, sizeof(theirs), "/proc/%u/exe", process->pid);
	if (take_build_id(driver, theirs, &process->exe, ret_build_id) || process->deleted || process->path_cut)
		return;
	snprintf(theirs, sizeof(theirs), "/proc/%u/root%s", process->pid, path);
	if (!take_build_id(driver, path, &process->exe, ret_build_id))
		take_build_id(driver, theirs, &process->exe, ret_build_id);
}

void driver_process_info(struct driver *driver, const struct driver_process *process, struct process_info *ret_info)
{
	struct process_info *info = ret_info;
	uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);

	memset(info, 0, sizeof(*info));
	info->found = true;
	info->pid = (pid_t)process->pid;
	info->uid = process->uid;
	info->start = process->started / tick;
	info->started = process_time(process->started);
	info->arguments = process->arguments_at;
	memcpy(info->comm, process->comm, sizeof(process->comm));
	join_names(process->path, process->path_size, process->path_cut, info->exe, sizeof(info->exe));
	find_build_id(driver, process, info->exe, info->build_id);
	if (process->deleted) {
		size_t length = strlen(info->exe);

		snprintf(info->exe + length, sizeof(info->exe) - length, " (deleted)");
	}
	join_names(process->group, process->group_size, false, info->cgroup, sizeof(info->cgroup));
	memcpy(info->cmdline, process->arguments, process->arguments_size);
	for (unsigned i = 0; i + 1U < process->arguments_size; i++)
		if (!info->cmdline[i])
			info->cmdline[i] = ' ';
	while (info->n_parents < DRIVER_PARENTS && process->parents[info->n_parents].pid) {
		info->parents[info->n_parents].pid = (pid_t)process->parents[info->n_parents].pid;
		memcpy(info->parents[info->n_parents].comm, process->parents[info->n_parents].comm, sizeof(process->comm));
		info->n_parents++;
	}
}
