/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data connections, and the commands that use them. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ftpd.h"

#define DATA_WAIT_MS 30000

void data_close(struct session *s)
{
	if (s->listener >= 0)
		close(s->listener);
	s->listener = -1;
	s->active.sin_port = 0;
}

/* Listens for the client on the address it is connected to; returns the port, 0 after an error reply. */
static unsigned listen_for_data(struct session *s)
{
	struct sockaddr_in address = s->local;
	socklen_t size = sizeof(address);

	data_close(s);
	address.sin_port = 0;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(s->listener, 1) < 0 || getsockname(s->listener, (struct sockaddr *)&address, &size) < 0) {
		reply(s, 425, "No passive connection: %s.", strerror(errno));
		data_close(s);
		return 0;
	}
	return ntohs(address.sin_port);
}

void command_pasv(struct session *s, char *argument, size_t length)
{
	unsigned port = listen_for_data(s), host = ntohl(s->local.sin_addr.s_addr);

	if (port)
		reply(s, 227, "Entering Passive Mode (%u,%u,%u,%u,%u,%u).", host >> 24, host >> 16 & 255, host >> 8 & 255,
		      host & 255, port >> 8, port & 255);
}

void command_epsv(struct session *s, char *argument, size_t length)
{
	unsigned port;

	if (!strcasecmp(argument, "ALL")) {
		reply(s, 200, "EPSV only from now on.");
		return;
	}
	if (*argument && strcmp(argument, "1")) {
		reply(s, 522, "Only IPv4 (1).");
		return;
	}
	port = listen_for_data(s);
	if (port)
		reply(s, 229, "Entering Extended Passive Mode (|||%u|).", port);
}

/* Only back to the client itself: no bounces. */
static void set_active(struct session *s, in_addr_t host, unsigned port)
{
	data_close(s);
	if (host != s->peer.sin_addr.s_addr || port < 1024 || port > 65535) {
		reply(s, 501, "Only to your own address.");
		return;
	}
	s->active = s->peer;
	s->active.sin_port = htons(port);
	reply(s, 200, "OK.");
}

void command_port(struct session *s, char *argument, size_t length)
{
	unsigned h[4], p[2];

	if (sscanf(argument, "%3u,%3u,%3u,%3u,%3u,%3u", &h[0], &h[1], &h[2], &h[3], &p[0], &p[1]) != 6 ||
	    h[0] > 255 || h[1] > 255 || h[2] > 255 || h[3] > 255 || p[0] > 255 || p[1] > 255) {
		reply(s, 501, "PORT h1,h2,h3,h4,p1,p2.");
		return;
	}
	set_active(s, htonl(h[0] << 24 | h[1] << 16 | h[2] << 8 | h[3]), p[0] << 8 | p[1]);
}

void command_eprt(struct session *s, char *argument, size_t length)
{
	char host[16];
	unsigned port;
	struct in_addr address;

	if (sscanf(argument, "|1|%15[0-9.]|%5u|", host, &port) != 2 || inet_pton(AF_INET, host, &address) != 1) {
		reply(s, 522, "EPRT |1|ADDRESS|PORT|.");
		return;
	}
	set_active(s, address.s_addr, port);
}

static int accept_data(struct session *s)
{
	struct pollfd wait = { .fd = s->listener, .events = POLLIN };

	while (poll(&wait, 1, DATA_WAIT_MS) > 0) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		int fd = accept4(s->listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);

		if (fd >= 0 && from.sin_addr.s_addr == s->peer.sin_addr.s_addr)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

int data_open(struct session *s)
{
	int fd = -1;

	if (s->listener >= 0 || s->active.sin_port)
		reply(s, 150, "Here it comes.");
	if (s->listener >= 0) {
		fd = accept_data(s);
	} else if (s->active.sin_port) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, (struct sockaddr *)&s->active, sizeof(s->active)) < 0) {
			close(fd);
			fd = -1;
		}
	}
	data_close(s);
	if (fd < 0)
		reply(s, 425, "No data connection.");
	return fd;
}

/* Ends a transfer with the right reply. result: 0, -errno, or -ECANCELED for ABOR. */
static void data_done(struct session *s, int fd, int result)
{
	close(fd);
	if (result == 0)
		reply(s, 226, "Done.");
	else if (result == -ECANCELED)
		reply(s, 426, "Transfer aborted.");
	else
		reply(s, 426, "Transfer failed: %s.", strerror(-result));
	if (result == -ECANCELED)
		reply(s, 226, "Aborted.");
}

/* "-rw-r--r--   1 owner    group        1234 Jan  2 03:04 name" */
static void put_details(FILE *out, int folder, const char *name)
{
	static const char kinds[] = "?pc?d?b?-?l?s???";
	char mode[11], when[32], link[PATH_SIZE] = "";
	struct stat st;
	struct passwd *user;
	struct group *group;
	struct tm tm;
	ssize_t n;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	mode[0] = kinds[st.st_mode >> 12 & 15];
	for (int i = 0; i < 9; i++)
		mode[i + 1] = st.st_mode & (256 >> i) ? "rwx"[i % 3] : '-';
	mode[10] = 0;
	user = getpwuid(st.st_uid);
	group = getgrgid(st.st_gid);
	gmtime_r(&st.st_mtime, &tm);
	strftime(when, sizeof(when), time(NULL) - st.st_mtime > 180 * 86400 ? "%b %e  %Y" : "%b %e %H:%M", &tm);
	if (S_ISLNK(st.st_mode) && (n = readlinkat(folder, name, link, sizeof(link) - 1)) >= 0)
		link[n] = 0;
	fprintf(out, "%s %3lu %-8s %-8s %10lld %s %s%s%s\r\n", mode, (unsigned long)st.st_nlink,
		user ? user->pw_name : "?", group ? group->gr_name : "?", (long long)st.st_size, when, name,
		*link ? " -> " : "", link);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The folder that a listing is of, -1 with errno; *pattern is what its names have to match. path holds the pattern. */
static int open_listed(struct session *s, const char *argument, char path[PATH_SIZE], const char **pattern)
{
	char *base;
	int folder;

	if (!root_path(s, argument, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	*pattern = "*";
	folder = root_open(s, path, O_RDONLY | O_DIRECTORY, 0);
	if (folder >= 0)
		return folder;
	/* A file, or a pattern in the last part. */
	base = strrchr(path, '/');
	*base = 0;
	*pattern = base + 1;
	return root_open(s, *path ? path : "/", O_RDONLY | O_DIRECTORY, 0);
}

typedef void put_entry_fn(FILE *out, int folder, const char *name);

static void put_name(FILE *out, int folder, const char *name)
{
	fprintf(out, "%s\r\n", name);
}

static void list(struct session *s, const char *argument, put_entry_fn *put_entry)
{
	struct dirent **names = NULL;
	char path[PATH_SIZE];
	const char *pattern;
	int folder, data, n;
	FILE *out;

	/* Clients send ls options; only the name counts. */
	while (*argument == '-') {
		argument += strcspn(argument, " ");
		argument += strspn(argument, " ");
	}
	folder = open_listed(s, argument, path, &pattern);
	n = folder < 0 ? -1 : scandirat(folder, ".", &names, visible, alphasort);
	if (n < 0) {
		reply_errno(s, *argument ? argument : s->cwd);
		if (folder >= 0)
			close(folder);
		return;
	}
	data = data_open(s);
	out = data < 0 ? NULL : fdopen(dup(data), "w");
	for (int i = 0; i < n; i++) {
		if (out && fnmatch(pattern, names[i]->d_name, 0) == 0)
			put_entry(out, folder, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	close(folder);
	if (data >= 0) {
		int failed = !out || fclose(out) != 0;

		data_done(s, data, failed ? -EPIPE : 0);
	}
}

void command_list(struct session *s, char *argument, size_t length)
{
	list(s, argument, put_details);
}

void command_nlst(struct session *s, char *argument, size_t length)
{
	list(s, argument, put_name);
}

/* Lines end in CR LF on the wire in ASCII mode. Returns the bytes to send. */
static size_t to_wire(const char *block, size_t n, char *wire)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		if (block[i] == '\n')
			wire[out++] = '\r';
		wire[out++] = block[i];
	}
	return out;
}

static size_t from_wire(char *block, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++)
		if (block[i] != '\r')
			block[out++] = block[i];
	return out;
}

/* Block by block from one to the other, until the end, an error or ABOR. */
static int transfer(struct session *s, int from, int to, bool sending)
{
	static char block[BLOCK_SIZE], wire[2 * BLOCK_SIZE];

	for (;;) {
		ssize_t n = read(from, block, sizeof(block));
		int result;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (s->ascii && sending)
			result = send_all(to, wire, to_wire(block, n, wire));
		else
			result = send_all(to, block, s->ascii ? from_wire(block, n) : (size_t)n);
		if (result < 0)
			return result;
		if (session_aborted(s))
			return -ECANCELED;
	}
}

void command_retr(struct session *s, char *argument, size_t length)
{
	char path[PATH_SIZE];
	struct stat st;
	int data, file = root_path(s, argument, path) ? root_open(s, path, O_RDONLY | O_NONBLOCK, 0) : -1;

	if (file < 0 || fstat(file, &st) < 0) {
		reply_errno(s, argument);
	} else if (!S_ISREG(st.st_mode)) {
		reply(s, 550, "Not a plain file.");
	} else if (s->restart && lseek(file, s->restart, SEEK_SET) < 0) {
		reply_errno(s, argument);
	} else {
		data = data_open(s);
		if (data >= 0)
			data_done(s, data, transfer(s, file, data, true));
	}
	if (file >= 0)
		close(file);
}

static void store(struct session *s, const char *argument, int flags)
{
	char path[PATH_SIZE];
	int data, file;

	if (s->restart)
		flags &= ~O_TRUNC;
	file = root_path(s, argument, path) ? root_open(s, path, O_WRONLY | O_CREAT | flags, 0666) : -1;
	if (file < 0 || (s->restart && lseek(file, s->restart, SEEK_SET) < 0)) {
		reply_errno(s, argument);
	} else {
		data = data_open(s);
		if (data >= 0)
			data_done(s, data, transfer(s, data, file, false));
	}
	if (file >= 0)
		close(file);
}

void command_stor(struct session *s, char *argument, size_t length)
{
	store(s, argument, O_TRUNC);
}

void command_appe(struct session *s, char *argument, size_t length)
{
	store(s, argument, O_APPEND);
}
