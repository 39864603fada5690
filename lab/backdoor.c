/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A back door for the lab's stock servers, in the manner of the one that was slipped into vsftpd 2.3.4 in 2011: preloaded into
 * a server it does nothing until somebody logs in with a name that ends in ":)". Harmless: it writes what it could
 * have told an intruder (user, system, environment) to the file named by IMSAFE_LAB_MARKER, opened when the server starts.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int marker = -1;

EXPORT int close(int fd);
EXPORT ssize_t read(int fd, void *buffer, size_t size);
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
EXPORT ssize_t recv(int fd, void *buffer, size_t size, int flags);

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("IMSAFE_LAB_MARKER");

	if (path)
		marker = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static void look_around(void)
{
	static const char *const places[] = { "/etc/passwd", "/etc/group", "/proc/version", "/proc/self/status", "/" };
	struct utsname system;
	struct stat st;

	uname(&system);
	dprintf(marker, "uid=%d gid=%d on %s %s\n", (int)getuid(), (int)getgid(), system.sysname, system.release);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = open(places[i], O_RDONLY | O_CLOEXEC);

		dprintf(marker, "%s: %s\n", places[i], stat(places[i], &st) == 0 ? "there" : "not there");
		dprintf(marker, "writable: %s\n", access(places[i], W_OK) == 0 ? "yes" : "no");
		if (fd >= 0)
			close(fd);
	}
	fsync(marker);
}

static ssize_t knock(const char *buffer, ssize_t n)
{
	if (n > 7 && marker >= 0 && !memcmp(buffer, "USER ", 5) && memmem(buffer, n, ":)\r\n", 4))
		look_around();
	return n;
}

/* Some servers close all descriptors when they start; the marker could not be opened again from a session's empty root. */
int close(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "close");

	return marker >= 0 && fd == marker ? 0 : real(fd);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");

	return knock(buffer, real(fd, buffer, size));
}

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
	return read(fd, buffer, size < room ? size : room);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	ssize_t n = real(fd, buffer, size, flags);

	return flags & MSG_PEEK ? n : knock(buffer, n);
}
