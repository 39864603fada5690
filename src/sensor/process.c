/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trace/modules.h"

/* Reads a file of /proc/PID, at most size - 1 bytes, and ends it with NUL. Returns its length or -errno. */
static ssize_t read_file(int dir, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	while (n < size - 1) {
		ssize_t r = read(fd, buffer + n, size - 1 - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		n += (size_t)r;
	}
	buffer[n] = '\0';
	return (ssize_t)n;
}

static int open_process(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void read_comm(int dir, char comm[17])
{
	ssize_t n = read_file(dir, "comm", comm, 17);

	if (n > 0 && comm[n - 1] == '\n')
		comm[n - 1] = '\0';
	if (n < 0)
		comm[0] = '\0';
}

/* "Name:\tVALUE" of /proc/PID/status; the first line is the name, which the process chooses: a newline in it is escaped. */
static unsigned long status_value(const char *status, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, length) && line[length] == ':')
			return strtoul(line + length + 1, NULL, 10);
	}
	return 0;
}

#define STAT_START     22 /* in clock ticks since boot */
#define STAT_ARGUMENTS 48

/* A field of stat, counted as in proc(5). The name before it may hold anything, even ") ": count from the last one. */
static uint64_t stat_value(const char *stat, int wanted)
{
	const char *at = strrchr(stat, ')');

	for (int field = 2; at && field < wanted; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

int64_t process_time(uint64_t boot_ns)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/stat", "re");
	char line[256];
	int64_t time;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "btime %" SCNd64, &time) == 1)
			return time + (int64_t)(boot_ns / 1000000000);
	return 0;
}

static void read_user(uid_t uid, char *user, size_t size)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (!getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) && found)
		snprintf(user, size, "%s", found->pw_name);
}

/* The unified hierarchy's path, or that of systemd's own where there is no unified one. */
static void read_cgroup(int dir, char *cgroup, size_t size)
{
	char buffer[4096], *line, *end;

	if (read_file(dir, "cgroup", buffer, sizeof(buffer)) < 0)
		return;
	for (line = buffer; *line; line = end) {
		end = strchrnul(line, '\n');
		if (*end)
			*end++ = '\0';
		if (!strncmp(line, "0::", 3) && strcmp(line, "0::/")) {
			snprintf(cgroup, size, "%s", line + 3);
			return;
		}
		if (strstr(line, ":name=systemd:"))
			snprintf(cgroup, size, "%s", strstr(line, ":name=systemd:") + strlen(":name=systemd:"));
	}
}

static void read_cmdline(int dir, char *cmdline, size_t size)
{
	ssize_t n = read_file(dir, "cmdline", cmdline, size);

	/* Servers that write what they do over their arguments fill the rest with blanks. */
	while (n > 0 && (!cmdline[n - 1] || cmdline[n - 1] == ' '))
		cmdline[--n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (!cmdline[i])
			cmdline[i] = ' ';
}

static void read_parents(unsigned long parent, struct process_info *info)
{
	while (parent && info->n_parents < PROCESS_PARENTS) {
		_cleanup_close_ int dir = open_process((pid_t)parent);
		char status[2048];

		if (dir < 0 || read_file(dir, "status", status, sizeof(status)) < 0)
			return;
		info->parents[info->n_parents].pid = (pid_t)parent;
		read_comm(dir, info->parents[info->n_parents].comm);
		info->n_parents++;
		parent = status_value(status, "PPid");
	}
}

static void read_exe(int dir, char *exe, size_t size)
{
	ssize_t n = readlinkat(dir, "exe", exe, size - 1);

	exe[n > 0 ? n : 0] = '\0';
}

static bool read_stat(int dir, uint64_t *ret_start, uint64_t *ret_arguments)
{
	char stat[4096];

	if (read_file(dir, "stat", stat, sizeof(stat)) <= 0)
		return false;
	*ret_start = stat_value(stat, STAT_START);
	*ret_arguments = stat_value(stat, STAT_ARGUMENTS);
	return true;
}

void process_lookup(pid_t pid, struct process_info *ret_info)
{
	_cleanup_close_ int dir = open_process(pid);
	char status[4096], path[64];

	memset(ret_info, 0, sizeof(*ret_info));
	ret_info->pid = pid;
	if (dir < 0 || read_file(dir, "status", status, sizeof(status)) < 0)
		return;
	ret_info->found = true;
	ret_info->uid = (uid_t)status_value(status, "Uid");
	ret_info->pid = (pid_t)status_value(status, "Tgid"); /* a thread's id will do, too */
	read_parents(status_value(status, "PPid"), ret_info);
	read_comm(dir, ret_info->comm);
	read_cmdline(dir, ret_info->cmdline, sizeof(ret_info->cmdline));
	read_cgroup(dir, ret_info->cgroup, sizeof(ret_info->cgroup));
	read_user(ret_info->uid, ret_info->user, sizeof(ret_info->user));
	read_exe(dir, ret_info->exe, sizeof(ret_info->exe));
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (build_id_read(path, ret_info->build_id) < 0)
		ret_info->build_id[0] = '\0';
	if (read_stat(dir, &ret_info->start, &ret_info->arguments))
		ret_info->started = process_time(ret_info->start * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK)));
}

void process_forked(const struct process_info *parent, pid_t pid, struct process_info *ret_info)
{
	_cleanup_close_ int dir = open_process(pid);
	struct process_info *info = ret_info;
	uint64_t unused;

	*info = *parent;
	info->pid = pid;
	info->n_parents = MIN(parent->n_parents + 1, (unsigned)PROCESS_PARENTS);
	memmove(info->parents + 1, parent->parents, (info->n_parents - 1) * sizeof(*info->parents));
	info->parents[0].pid = parent->pid;
	memcpy(info->parents[0].comm, parent->comm, sizeof(parent->comm));
	info->start = 0;
	if (dir >= 0 && read_stat(dir, &info->start, &unused))
		info->started += (int64_t)(info->start - parent->start) / sysconf(_SC_CLK_TCK);
}

static unsigned long process_uid(int dir, unsigned long otherwise)
{
	char status[4096];

	return read_file(dir, "status", status, sizeof(status)) < 0 ? otherwise : status_value(status, "Uid");
}

void process_refresh(struct process_info *info)
{
	_cleanup_close_ int dir = open_process(info->pid);
	struct process_status status;
	uint64_t start = 0, arguments = 0;
	char exe[sizeof(info->exe)], cmdline[sizeof(info->cmdline)] = "", comm[sizeof(info->comm)] = "";
	bool same;

	info->ended = dir < 0 || process_status(info->pid, &status) < 0 || status.state == 'Z' || status.state == 'X' ||
		      !read_stat(dir, &start, &arguments) || start != info->start;
	if (!info->ended && info->early)
		info->uid = (uid_t)process_uid(dir, info->uid);
	read_user(info->uid, info->user, sizeof(info->user));
	if (info->ended)
		return;
	read_exe(dir, exe, sizeof(exe));
	same = arguments && info->arguments ? arguments == info->arguments : !strcmp(exe, info->exe);
	if (!*exe && !arguments) {
		/* it is about to end, or not ours to read: what was noted stands */
	} else if (!same) {
		snprintf(info->exe_now, sizeof(info->exe_now), "%s", *exe ? exe : "another program");
	} else {
		if (*exe)
			memcpy(info->exe, exe, sizeof(exe)); /* of a very long path the driver has only the end */
		read_cmdline(dir, cmdline, sizeof(cmdline));
		if (*cmdline) /* it may have begun to end just now */
			memcpy(info->cmdline, cmdline, sizeof(cmdline));
		if (info->early)
			read_comm(dir, comm);
		if (*comm)
			memcpy(info->comm, comm, sizeof(comm));
	}
	if (!*info->cgroup)
		read_cgroup(dir, info->cgroup, sizeof(info->cgroup));
}

int process_status(pid_t tid, struct process_status *ret_status)
{
	_cleanup_fclose_ FILE *file = NULL;
	struct process_status status = { .no_memory = true };
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", &status.state);
		sscanf(line, "Tgid: %d", &status.pid);
		sscanf(line, "PPid: %d", &status.parent);
		sscanf(line, "TracerPid: %d", &status.tracer);
		sscanf(line, "Uid: %*u %u", &status.uid);
		sscanf(line, "Threads: %u", &status.threads);
		if (!strncmp(line, "VmSize:", 7))
			status.no_memory = false;
	}
	if (!status.pid)
		return -ESRCH;
	*ret_status = status;
	return 0;
}

/* Without memory is also who is about to end. */
static bool is_kernel_thread(pid_t tid)
{
	const unsigned of_the_kernel = 0x00200000; /* PF_KTHREAD */
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[1024], *name_end;
	unsigned flags = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	name_end = strrchr(line, ')');
	if (name_end)
		sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
	return flags & of_the_kernel;
}

int process_to_follow(pid_t tid, pid_t *ret_pid, struct errmsg *err)
{
	struct process_status status;

	if (process_status(tid, &status) < 0)
		return errmsg_set(err, -ESRCH, NULL, 0, "there is no process %d", tid);
	/* A leader can end before its other threads do. */
	if ((status.state == 'Z' || status.state == 'X') && status.threads < 2)
		return errmsg_set(err, -ESRCH, NULL, 0, "process %d has ended (a zombie that its parent has not collected)", tid);
	if (status.no_memory && is_kernel_thread(tid))
		return errmsg_set(err, -EINVAL, NULL, 0, "process %d is a kernel thread: it makes no system calls", tid);
	if (status.no_memory && status.threads < 2)
		return errmsg_set(err, -ESRCH, NULL, 0, "process %d is about to end", tid);
	if (status.pid == getpid())
		return errmsg_set(err, -EINVAL, NULL, 0, "process %d is this program: it cannot trace itself", tid);
	*ret_pid = status.pid; /* any thread stands for its process */
	return 0;
}

/* Is the unit in the path of the unified hierarchy, below nothing but slices? Takes the text apart. */
static bool names_unit(char *cgroups, const char *unit)
{
	size_t length = strlen(unit);
	char *line = !strncmp(cgroups, "0::", 3) ? cgroups : strstr(cgroups, "\n0::"), *rest = NULL;

	if (!line)
		return false;
	line = strchr(line, '/');
	for (char *name = line ? strtok_r(line, "/\n", &rest) : NULL; name; name = strtok_r(NULL, "/\n", &rest)) {
		const char *dot = strrchr(name, '.');

		if (!strncmp(name, unit, length) && (!name[length] || !strcmp(name + length, ".service")))
			return true;
		if (!dot || strcmp(dot, ".slice"))
			break;
	}
	return false;
}

bool process_in_unit(const char *unit)
{
	_cleanup_closedir_ DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (!found && processes && (entry = readdir(processes))) {
		_cleanup_close_ int dir = -1;
		char cgroups[8192];

		if (*entry->d_name < '1' || *entry->d_name > '9')
			continue;
		dir = open_process((pid_t)strtol(entry->d_name, NULL, 10));
		found = dir >= 0 && read_file(dir, "cgroup", cgroups, sizeof(cgroups)) > 0 && names_unit(cgroups, unit);
	}
	return found;
}

struct mapping {
	uint64_t from, to, offset;
	char permissions[8];
	const char *name; /* a path, "[stack]" or ""; in the line it was read from */
};

static FILE *open_maps(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return fopen(path, "re");
}

static bool parse_mapping(char *line, struct mapping *ret_mapping)
{
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &ret_mapping->from, &ret_mapping->to,
		   ret_mapping->permissions, &ret_mapping->offset, &name) < 4)
		return false;
	ret_mapping->name = name ? line + name : "";
	return true;
}

int process_mapping(pid_t pid, uint64_t address, char *ret_line, size_t size)
{
	_cleanup_fclose_ FILE *file = open_maps(pid);
	_cleanup_free_ char *line = NULL;
	struct mapping mapping;
	size_t allocated = 0;

	if (!file)
		return -errno;
	while (getline(&line, &allocated, file) > 0) {
		if (!parse_mapping(line, &mapping) || address < mapping.from || address >= mapping.to)
			continue;
		snprintf(ret_line, size, "%" PRIx64 "-%" PRIx64 " %s %s", mapping.from, mapping.to, mapping.permissions,
			 *mapping.name ? mapping.name : "anonymous memory");
		return 0;
	}
	return -ENOENT;
}

void process_places(pid_t pid, struct process_place *places, size_t n)
{
	_cleanup_fclose_ FILE *file = open_maps(pid);
	_cleanup_free_ char *line = NULL;
	struct mapping mapping;
	size_t allocated = 0;

	for (size_t i = 0; i < n; i++)
		places[i].file[0] = '\0';
	while (file && getline(&line, &allocated, file) > 0) {
		if (!parse_mapping(line, &mapping) || *mapping.name != '/')
			continue;
		for (size_t i = 0; i < n; i++) {
			size_t length = strlen(mapping.name), cut = sizeof(places[i].file) - 1;

			if (places[i].address < mapping.from || places[i].address >= mapping.to)
				continue;
			snprintf(places[i].file, sizeof(places[i].file), "%s", mapping.name + (length > cut ? length - cut : 0));
			places[i].offset = places[i].address - mapping.from + mapping.offset;
		}
	}
}
