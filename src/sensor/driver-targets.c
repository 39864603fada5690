/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes a process part of an application: the kernel side's tables of files and cgroups. */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "sensor/driver.h"

#define RENEW_MS 40

static int enter(int map, const void *key, unsigned application, const char *name, struct errmsg *err)
{
	uint32_t value = application, other;

	if (!bpf_map_lookup_elem(map, key, &other) && other != application)
		return errmsg_set(err, -EEXIST, name, 0, "already belongs to another application");
	if (bpf_map_update_elem(map, key, &value, BPF_ANY) < 0)
		return errmsg_errno(err, -errno, name, "cannot become a target");
	return 0;
}

/* What the name leads to now becomes a target, if it is none yet; one that it led to long ago is none any more. */
static int look_up(struct driver *driver, struct driver_named *named, const struct stat *st, struct errmsg *err)
{
	int map = named->group ? driver->groups : driver->files, r = 0;
	union driver_key key = { { 0 } };

	if (named->group)
		key.id = st->st_ino; /* kernfs: the inode's number is the id */
	else
		r = driver_identify(driver, named->path, &key.file, err);
	if (r >= 0)
		r = enter(map, &key, named->application, named->path, err);
	if (r < 0)
		return r;
	named->st = *st;
	if (named->n && !memcmp(&named->former[(named->n - 1) % DRIVER_FORMER], &key, sizeof(key)))
		return 0;
	if (named->n >= DRIVER_FORMER)
		bpf_map_delete_elem(map, &named->former[named->n % DRIVER_FORMER]);
	named->former[named->n++ % DRIVER_FORMER] = key;
	return 1;
}

static bool is_script(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char start[2];

	return fd >= 0 && read(fd, start, sizeof(start)) == sizeof(start) && !memcmp(start, "#!", sizeof(start));
}

static int add_named(struct driver *driver, unsigned application, const char *path, bool group, struct errmsg *err)
{
	struct driver_named *bigger = realloc(driver->named, (driver->n_named + 1) * sizeof(*bigger)), *named;
	char here[PATH_MAX] = "";
	struct stat st;
	int r;

	if (!bigger)
		return errmsg_errno(err, -ENOMEM, path, "no memory");
	driver->named = bigger;
	named = &bigger[driver->n_named];
	*named = (struct driver_named){ .application = application, .group = group };
	if (stat(path, &st) < 0)
		return errmsg_errno(err, -errno, path, group ? "cannot find the cgroup" : "cannot find the file");
	/* We may go elsewhere to work in the background. */
	if (*path != '/' && !getcwd(here, sizeof(here)))
		return errmsg_errno(err, -errno, path, "cannot find the working directory");
	if (asprintf(&named->path, "%s%s%s", here, *here ? "/" : "", path) < 0)
		return errmsg_errno(err, -ENOMEM, path, "no memory");
	r = look_up(driver, named, &st, err);
	if (r < 0)
		free(named->path);
	else
		driver->n_named++;
	return MIN(r, 0);
}

static int add_group(struct driver *driver, unsigned application, const char *name, struct errmsg *err)
{
	const char *mount = driver->check.cgroup2;
	size_t length = strlen(mount);
	char path[PATH_MAX];

	if (!strncmp(name, mount, length) && (name[length] == '/' || !name[length]))
		name += length;
	if (snprintf(path, sizeof(path), "%s/%s", mount, name) >= (int)sizeof(path))
		return errmsg_set(err, -ENAMETOOLONG, NULL, 0, "the cgroup's name is too long");
	return add_named(driver, application, path, true, err);
}

static int add_unit(struct driver *driver, unsigned application, const char *unit, struct errmsg *err)
{
	static const char *const types[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };
	struct driver_name name = { "" };
	const char *dot = strrchr(unit, '.'), *type = ".service";
	struct stat root;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (dot && !strcmp(dot, types[i]))
			type = "";
	if (!*unit || strchr(unit, '/'))
		return errmsg_set(err, -EINVAL, unit, 0, "is not the name of a unit");
	if (snprintf(name.name, sizeof(name.name), "%s%s", unit, type) >= (int)sizeof(name.name))
		return errmsg_set(err, -ENAMETOOLONG, unit, 0, "the unit's name is longer than %d bytes", DRIVER_NAME_MAX - 1);
	if (stat(driver->check.cgroup2, &root) < 0)
		return errmsg_errno(err, -errno, driver->check.cgroup2, "cannot find the cgroups");
	driver->shared->root_group = root.st_ino;
	return enter(driver->names, &name, application, unit, err);
}

int driver_add_target(struct driver *driver, unsigned application, const struct target *target, struct errmsg *err)
{
	int r;

	switch (target->kind) {
	case TARGET_EXE:
		r = add_named(driver, application, target->name, false, err);
		if (r >= 0 && is_script(target->name))
			r = errmsg_set(err, -EINVAL, target->name, 0, "is a script: the program that its processes run is its interpreter");
		if (r >= 0)
			driver->shared->have_files = 1;
		return r;
	case TARGET_UNIT:
	case TARGET_CGROUP:
		if (!*driver->check.cgroup2)
			return errmsg_set(err, -ENOSYS, NULL, 0, "units and cgroups are found in the unified hierarchy "
					  "(cgroup2), which is not mounted here; use -x or -p");
		r = (target->kind == TARGET_UNIT ? add_unit : add_group)(driver, application, target->name, err);
		if (r >= 0)
			driver->shared->have_groups = 1;
		return r;
	case TARGET_PID:
	case TARGET_COMMAND:
		return 0; /* processes are seeded, commands started, when all targets are in place */
	case TARGET_FILE:
		break;
	}
	return errmsg_set(err, -EINVAL, NULL, 0, "the driver does not read trace files");
}

int driver_set_follow(struct driver *driver, unsigned application, const struct target *targets, size_t n, bool fork,
		      bool exec)
{
	uint32_t key = application, flags = (fork ? FOLLOW_FORK : 0) | (exec ? FOLLOW_EXEC : 0);

	for (size_t i = 0; i < n; i++) {
		/* "Every process of" leaves no choice. */
		if (targets[i].kind == TARGET_UNIT || targets[i].kind == TARGET_CGROUP)
			flags |= FOLLOW_FORK | FOLLOW_EXEC;
	}
	return bpf_map_update_elem(driver->follow, &key, &flags, BPF_ANY) < 0 ? -errno : 0;
}

static void remove_from(int map, size_t key_size, unsigned application)
{
	char key[sizeof(struct driver_name)], next[sizeof(key)];
	bool more = !bpf_map_get_next_key(map, NULL, next);
	uint32_t value;

	while (more) {
		memcpy(key, next, key_size);
		more = !bpf_map_get_next_key(map, key, next);
		if (!bpf_map_lookup_elem(map, key, &value) && value == application)
			bpf_map_delete_elem(map, key);
	}
}

int driver_remove_targets(struct driver *driver, unsigned application)
{
	uint32_t key = application, flags = 0;
	size_t n = 0;

	for (size_t i = 0; i < driver->n_named; i++) {
		if (driver->named[i].application == application)
			free(driver->named[i].path);
		else
			driver->named[n++] = driver->named[i];
	}
	driver->n_named = n;
	remove_from(driver->files, sizeof(struct driver_file), application);
	remove_from(driver->groups, sizeof(uint64_t), application);
	remove_from(driver->names, sizeof(struct driver_name), application);
	return bpf_map_update_elem(driver->follow, &key, &flags, BPF_ANY) < 0 ? -errno : 0;
}

bool driver_renew_targets(struct driver *driver)
{
	struct timespec time;
	bool renewed = false;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	now = (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
	if (now - driver->renewed < RENEW_MS)
		return false;
	driver->renewed = now;
	for (size_t i = 0; i < driver->n_named; i++) {
		struct driver_named *named = &driver->named[i];
		struct stat st;

		/* A number is given again, even at once: then the time of the last change is another. */
		if (stat(named->path, &st) < 0 || (st.st_ino == named->st.st_ino && st.st_dev == named->st.st_dev &&
						   !memcmp(&st.st_ctim, &named->st.st_ctim, sizeof(st.st_ctim))))
			continue;
		renewed |= look_up(driver, named, &st, NULL) > 0; /* if it cannot be, for now, then next time */
	}
	return renewed;
}

void driver_done(struct driver *driver)
{
	for (size_t i = 0; i < driver->n_named; i++)
		free(driver->named[i].path);
	free(driver->named);
}
