/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "trace/compact.h"
#include "trace/text.h"

int output_open_fd(struct output *output, int fd, const char *name, struct errmsg *err)
{
	*output = (struct output){ .fd = fd };
	output->buffer = malloc(OUTPUT_SIZE);
	output->name = strdup(name);
	if (!output->buffer || !output->name)
		return errmsg_errno(err, -ENOMEM, name, "cannot write it");
	return 0;
}

/*
 * The .part file: a plain file of ours that nobody else writes or can reach by another name, made anew or left from a
 * recording that was killed. It is truncated only once that is certain.
 */
static int open_part(struct output *output, struct errmsg *err)
{
	_cleanup_close_ int fd = open(output->part, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0666);
	struct stat st, named;

	if (fd < 0 && errno != ELOOP && errno != ENXIO)
		return errmsg_errno(err, -errno, output->part, "cannot write it");
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || st.st_uid != geteuid())
		return errmsg_set(err, -EPERM, output->part, 0, "it is there already, and no plain file of this user");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return errmsg_set(err, -EBUSY, output->part, 0, "another program is writing it");
	/* Or has just given it its final name. */
	if (lstat(output->part, &named) < 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
		return errmsg_set(err, -EBUSY, output->part, 0, "another program is writing it");
	if (ftruncate(fd, 0) < 0)
		return errmsg_errno(err, -errno, output->part, "cannot write it");
	output->fd = TAKE_FD(fd);
	return 0;
}

int output_spare(const char *path, bool traces, struct errmsg *err)
{
	static const char profile[16] = "SQLite format 3", text[] = "#: " TEXT_MAGIC " ";
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	char begin[16];
	struct stat st;

	_Static_assert(sizeof(begin) >= COMPACT_MAGIC_SIZE && sizeof(begin) >= sizeof(text) - 1, "all fit");
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || pread(fd, begin, sizeof(begin), 0) != sizeof(begin))
		return 0;
	if (!memcmp(begin, profile, sizeof(profile)))
		return errmsg_set(err, -EEXIST, path, 0, "this is a profile, which is not overwritten: take another name, or remove it first");
	if (traces && (!memcmp(begin, COMPACT_MAGIC, COMPACT_MAGIC_SIZE) || !memcmp(begin, text, sizeof(text) - 1)))
		return errmsg_set(err, -EEXIST, path, 0, "this is a trace, which is not overwritten: take another name, or remove it first");
	return 0;
}

int output_open(struct output *output, const char *path, struct errmsg *err)
{
	struct stat st;
	int r = output_open_fd(output, -1, strcmp(path, "-") ? path : "standard output", err);

	if (r < 0)
		return r;
	if (!strcmp(path, "-")) {
		output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (output->fd < 0)
			return errmsg_errno(err, -errno, output->name, "cannot write it");
		return 0;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		output->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		if (output->fd < 0)
			return errmsg_errno(err, -errno, path, "cannot write it");
		return 0;
	}
	r = output_spare(path, false, err);
	if (r < 0)
		return r;
	output->path = strdup(path);
	if (!output->path || asprintf(&output->part, "%s.part", path) < 0) {
		output->part = NULL;
		return errmsg_errno(err, -ENOMEM, path, "cannot write it");
	}
	return open_part(output, err);
}

static int output_fail(struct output *output, int error, struct errmsg *err)
{
	struct stat st;

	output->failed = error;
	if (error == -EPIPE || error == -ECONNRESET)
		return errmsg_set(err, error, output->name, 0, !fstat(output->fd, &st) && S_ISSOCK(st.st_mode) ?
				  "it has ended the connection" : "whoever read it has closed the pipe");
	return errmsg_errno(err, error, output->part ? output->part : output->name, "cannot write it");
}

static int write_all(struct output *output, const char *data, size_t n, struct errmsg *err)
{
	while (n) {
		ssize_t done = write(output->fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return output_fail(output, -errno, err);
		data += done;
		n -= (size_t)done;
		output->written += (uint64_t)done;
	}
	output->size = MAX(output->size, output->written);
	return 0;
}

int output_flush(struct output *output, struct errmsg *err)
{
	int r = output->failed ? output_fail(output, output->failed, err) :
				 write_all(output, output->buffer, output->used, err);

	if (r >= 0)
		output->used = 0;
	return r;
}

int output_write_whole(struct output *output, const void *data, size_t n, struct errmsg *err)
{
	int r = output_flush(output, err);
	uint64_t before = output->written;

	if (r < 0)
		return r;
	r = write_all(output, data, n, err);
	if (r < 0 && output_can_rewind(output) && ftruncate(output->fd, (off_t)before) < 0)
		return r; /* the first error is the one to tell */
	/* What was written over may have been longer. */
	if (r >= 0 && output->size > output->written) {
		if (ftruncate(output->fd, (off_t)output->written) < 0)
			return output_fail(output, -errno, err);
		output->size = output->written;
	}
	return r;
}

bool output_can_rewind(const struct output *output)
{
	return output->path != NULL;
}

uint64_t output_offset(const struct output *output)
{
	return output->written + output->used;
}

int output_rewind(struct output *output, uint64_t offset, struct errmsg *err)
{
	int r = output_flush(output, err);

	if (r < 0)
		return r;
	if (lseek(output->fd, (off_t)offset, SEEK_SET) < 0)
		return output_fail(output, -errno, err);
	output->written = offset;
	return 0;
}

int output_reserve(struct output *output, size_t n, struct errmsg *err)
{
	return OUTPUT_SIZE - output->used >= n ? 0 : output_flush(output, err);
}

int output_write(struct output *output, const void *data, size_t n, struct errmsg *err)
{
	const char *from = data;

	while (n) {
		size_t part;
		int r = output->used == OUTPUT_SIZE ? output_flush(output, err) : 0;

		if (r < 0)
			return r;
		part = MIN(n, OUTPUT_SIZE - output->used);
		memcpy(output->buffer + output->used, from, part);
		output->used += part;
		from += part;
		n -= part;
	}
	return 0;
}

/* The new name survives a crash once its folder is on disk. Not every file system can do it: no error then. */
static void sync_folder(const char *path)
{
	_cleanup_free_ char *folder = strdup(path);
	_cleanup_close_ int fd = -1;
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return;
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		fsync(fd);
}

int output_finish(struct output *output, struct errmsg *err)
{
	int r = output_flush(output, err);

	if (r < 0 || !output->path)
		return r;
	if (fsync(output->fd) < 0 && errno != EINVAL && errno != EROFS)
		return output_fail(output, -errno, err);
	if (rename(output->part, output->path) < 0) {
		output->failed = -errno;
		return errmsg_errno(err, output->failed, output->path, "cannot give the finished file its name");
	}
	free(TAKE_PTR(output->part));
	sync_folder(output->path);
	return 0;
}

void output_close(struct output *output, bool keep)
{
	if (output->part && output->fd >= 0 && (!keep || !MAX(output->size, output->written)))
		unlink(output->part);
	closep(&output->fd);
	free(output->part);
	free(output->path);
	free(output->name);
	free(output->buffer);
	*output = (struct output){ .fd = -1 };
}
