/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/sources.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define DEPTH_MAX 32

static int add_file(struct sources *s, const char *path, off_t size)
{
	if (s->n == s->allocated) {
		size_t n = s->allocated ? 2 * s->allocated : 64;
		char **paths = realloc(s->paths, n * sizeof(*paths));
		off_t *sizes;

		if (!paths)
			return -ENOMEM;
		s->paths = paths;
		sizes = realloc(s->sizes, n * sizeof(*sizes));
		if (!sizes)
			return -ENOMEM;
		s->sizes = sizes;
		s->allocated = n;
	}
	s->paths[s->n] = strdup(path);
	if (!s->paths[s->n])
		return -ENOMEM;
	s->sizes[s->n++] = size;
	s->bytes += size;
	return 0;
}

static int is_wanted(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return *entry->d_name != '.' && !(n > 5 && !strcmp(entry->d_name + n - 5, ".part"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_path(struct sources *s, const char *path, const char *except, int depth, struct errmsg *err);

static int add_folder(struct sources *s, const char *path, const char *except, int depth, struct errmsg *err)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_wanted, by_name), r = 0;

	if (n < 0)
		return errmsg_errno(err, -errno, path, "cannot read it");
	if (depth == DEPTH_MAX)
		r = errmsg_set(err, -ELOOP, path, 0, "folders lie too deep in each other");
	for (int i = 0; i < n; i++) {
		char *name = NULL;

		if (r >= 0 && asprintf(&name, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", entries[i]->d_name) < 0) {
			name = NULL;
			r = errmsg_errno(err, -ENOMEM, path, "cannot read it");
		}
		if (r >= 0)
			r = add_path(s, name, except, depth + 1, err);
		free(name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* In a folder: the profile that is being written, or SQLite's file beside it. */
static int is_profile(const char *path, const struct stat *st, const char *except)
{
	size_t n = strlen(path), plain = n > 8 && !strcmp(path + n - 8, "-journal") ? n - 8 : n;
	struct stat profile;

	if (!except)
		return 0;
	if (!stat(except, &profile) && profile.st_dev == st->st_dev && profile.st_ino == st->st_ino)
		return 1;
	return plain < n && strlen(except) >= 1 && plain >= strlen(except) &&
	       !memcmp(path + plain - strlen(except), except, strlen(except));
}

static int add_path(struct sources *s, const char *path, const char *except, int depth, struct errmsg *err)
{
	struct stat st = { 0 };

	if (strcmp(path, "-")) {
		if (stat(path, &st) < 0)
			return errno == ENOENT ? errmsg_set(err, -ENOENT, path, 0, "there is no such file") :
						 errmsg_errno(err, -errno, path, "cannot open it");
		if (S_ISDIR(st.st_mode))
			return add_folder(s, path, except, depth, err);
		if (depth && (is_profile(path, &st, except) || !S_ISREG(st.st_mode)))
			return 0;
	}
	return add_file(s, path, st.st_size) < 0 ? errmsg_errno(err, -ENOMEM, path, "cannot open it") : 0;
}

int sources_add(struct sources *s, const char *path, const char *except, struct errmsg *err)
{
	return add_path(s, path, except, 0, err);
}

void sources_done(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->paths[i]);
	free(s->paths);
	free(s->sizes);
}
