/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and files. Every path is resolved by the kernel inside the served folder (openat2 with RESOLVE_IN_ROOT): no
 * "..", symbolic link or race leads out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ftpd.h"

int root_open(struct session *s, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return syscall(SYS_openat2, s->root, path, &how, sizeof(how));
}

/* What the client means by a name: absolute from the served folder, without "." and "..". */
const char *root_path(struct session *s, const char *argument, char path[PATH_SIZE])
{
	char whole[2 * PATH_SIZE], *rest = whole, *part;
	size_t n = 0;
	int size = snprintf(whole, sizeof(whole), "%s/%s", argument[0] == '/' ? "" : s->cwd, argument);

	if (size < 0 || (size_t)size >= sizeof(whole))
		return NULL;
	while ((part = strsep(&rest, "/"))) {
		size_t length = strlen(part);

		if (!length || !strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			while (n > 0 && path[--n] != '/')
				;
			continue;
		}
		if (n + 1 + length + 1 > PATH_SIZE)
			return NULL;
		path[n++] = '/';
		memcpy(path + n, part, length);
		n += length;
	}
	if (n == 0)
		path[n++] = '/';
	path[n] = 0;
	return path;
}

void reply_errno(struct session *s, const char *name)
{
	reply(s, 550, "%.200s: %s.", name, strerror(errno));
}

/* The folder that holds a path, and the last part of the name. */
static int open_parent(struct session *s, const char *argument, char path[PATH_SIZE], const char **ret_name)
{
	char *slash;
	int fd;

	if (!root_path(s, argument, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	slash = strrchr(path, '/');
	if (!slash[1]) {
		errno = EBUSY;
		return -1;
	}
	*slash = 0;
	fd = root_open(s, path[0] ? path : "/", O_PATH | O_DIRECTORY, 0);
	*slash = '/';
	*ret_name = slash + 1;
	return fd;
}

static int stat_path(struct session *s, const char *argument, struct stat *st)
{
	char path[PATH_SIZE];
	int fd, result;

	if (!root_path(s, argument, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = root_open(s, path, O_PATH, 0);
	if (fd < 0)
		return -1;
	result = fstat(fd, st);
	close(fd);
	return result;
}

void command_cwd(struct session *s, char *argument, size_t length)
{
	char path[PATH_SIZE];
	int fd = root_path(s, argument, path) ? root_open(s, path, O_PATH | O_DIRECTORY, 0) : -1;

	if (fd < 0 || faccessat(fd, ".", X_OK, 0) < 0) {
		reply_errno(s, argument);
	} else {
		memcpy(s->cwd, path, sizeof(path));
		reply(s, 250, "Now in %s.", s->cwd);
	}
	if (fd >= 0)
		close(fd);
}

void command_cdup(struct session *s, char *argument, size_t length)
{
	char up[] = "..";

	command_cwd(s, up, 2);
}

/* In replies a quote in a name is doubled (RFC 959). */
static void reply_name(struct session *s, const char *name, const char *what)
{
	char quoted[2 * PATH_SIZE];
	size_t n = 0;

	for (; *name && n + 3 < sizeof(quoted); name++) {
		if (*name == '"')
			quoted[n++] = '"';
		quoted[n++] = *name;
	}
	quoted[n] = 0;
	reply(s, 257, "\"%s\" %s.", quoted, what);
}

void command_pwd(struct session *s, char *argument, size_t length)
{
	reply_name(s, s->cwd, "is the current folder");
}

void command_mkd(struct session *s, char *argument, size_t length)
{
	char path[PATH_SIZE];
	const char *name;
	int parent = open_parent(s, argument, path, &name);

	if (parent < 0 || mkdirat(parent, name, 0777) < 0)
		reply_errno(s, argument);
	else
		reply_name(s, path, "created");
	if (parent >= 0)
		close(parent);
}

static void remove_name(struct session *s, const char *argument, int flags)
{
	char path[PATH_SIZE];
	const char *name;
	int parent = open_parent(s, argument, path, &name);

	if (parent < 0 || unlinkat(parent, name, flags) < 0)
		reply_errno(s, argument);
	else
		reply(s, 250, "Removed.");
	if (parent >= 0)
		close(parent);
}

void command_rmd(struct session *s, char *argument, size_t length)
{
	remove_name(s, argument, AT_REMOVEDIR);
}

void command_dele(struct session *s, char *argument, size_t length)
{
	remove_name(s, argument, 0);
}

void command_rnfr(struct session *s, char *argument, size_t length)
{
	struct stat st;

	s->rename_from[0] = 0;
	if (stat_path(s, argument, &st) < 0) {
		reply_errno(s, argument);
		return;
	}
	root_path(s, argument, s->rename_from);
	reply(s, 350, "RNTO with the new name, please.");
}

void command_rnto(struct session *s, char *argument, size_t length)
{
	char from_path[PATH_SIZE], to_path[PATH_SIZE];
	const char *from_name, *to_name;
	int from, to;

	if (!s->rename_from[0]) {
		reply(s, 503, "RNFR first.");
		return;
	}
	from = open_parent(s, s->rename_from, from_path, &from_name);
	to = open_parent(s, argument, to_path, &to_name);
	if (from < 0 || to < 0 || renameat(from, from_name, to, to_name) < 0)
		reply_errno(s, argument);
	else
		reply(s, 250, "Renamed.");
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
}

void command_size(struct session *s, char *argument, size_t length)
{
	struct stat st;

	if (stat_path(s, argument, &st) < 0)
		reply_errno(s, argument);
	else if (!S_ISREG(st.st_mode))
		reply(s, 550, "Not a plain file.");
	else
		reply(s, 213, "%lld", (long long)st.st_size);
}

void command_mdtm(struct session *s, char *argument, size_t length)
{
	char when[32];
	struct stat st;
	struct tm tm;

	if (stat_path(s, argument, &st) < 0) {
		reply_errno(s, argument);
		return;
	}
	strftime(when, sizeof(when), "%Y%m%d%H%M%S", gmtime_r(&st.st_mtime, &tm));
	reply(s, 213, "%s", when);
}

/* SITE CHMOD 644 NAME */
void command_site_chmod(struct session *s, char *argument, size_t length)
{
	char *name, path[PATH_SIZE];
	unsigned long mode = strtoul(argument, &name, 8);
	int fd;

	if (name == argument || *name != ' ' || mode > 0777) {
		reply(s, 501, "SITE CHMOD MODE NAME.");
		return;
	}
	name++;
	fd = root_path(s, name, path) ? root_open(s, path, O_RDONLY | O_NONBLOCK, 0) : -1;
	if (fd < 0 || fchmod(fd, mode) < 0)
		reply_errno(s, name);
	else
		reply(s, 200, "Mode changed.");
	if (fd >= 0)
		close(fd);
}
