/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "sensor/driver.h"

int driver_init(struct driver *driver, struct errmsg *err)
{
	*driver = (struct driver){ .seed = -1 };
	driver_check(&driver->check);
	return driver_missing(&driver->check, err);
}

static __thread char complaint[256];

/* Libraries are silent: of what libbpf says, the first line is kept, and the verifier's conclusion, its log's last line but one. */
static int keep_complaint(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char prefix[] = "libbpf: ", end[] = "\nprocessed ";
	_cleanup_free_ char *text = NULL;
	const char *line;
	char *cut;

	if (level != LIBBPF_WARN || vasprintf(&text, format, args) < 0)
		return 0;
	cut = strstr(text, end);
	if (cut || !*complaint) {
		text[cut ? (size_t)(cut - text) : strcspn(text, "\n")] = '\0';
		line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		line += !strncmp(line, prefix, strlen(prefix)) ? strlen(prefix) : 0;
		snprintf(complaint + strlen(complaint), sizeof(complaint) - strlen(complaint), "%s%s", *complaint ? ": " : "", line);
	}
	return 0;
}

static libbpf_print_fn_t listen_to_libbpf(void)
{
	*complaint = '\0';
	return libbpf_set_print(keep_complaint);
}

/* Another sensor may do: -ENOSYS, whatever libbpf's number is. */
static int refused(const char *what, int error, struct errmsg *err)
{
	return errmsg_set(err, -ENOSYS, NULL, 0, "%s: %s", what, *complaint ? complaint : strerror(-error));
}

int driver_forbidden(struct errmsg *err)
{
	return errmsg_set(err, -EPERM, NULL, 0, "the kernel does not let this process load the driver, although its "
			  "capabilities would do: a container, seccomp or security module forbids it");
}

#define ATOMIC "_atomic"

static struct bpf_program *program_of(const struct bpf_object_skeleton *skeleton, const char *name, size_t length)
{
	for (int i = 0; i < skeleton->prog_cnt; i++)
		if (!strncmp(skeleton->progs[i].name, name, length) && !skeleton->progs[i].name[length])
			return *skeleton->progs[i].prog;
	return NULL;
}

/* Of two programs with one task, the one that this kernel and process can rely on: see follow.bpf.h. */
static void choose_programs(const struct driver_check *check, const struct bpf_object_skeleton *skeleton)
{
	for (int i = 0; i < skeleton->prog_cnt; i++) {
		const char *name = skeleton->progs[i].name, *end = strstr(name, ATOMIC);
		struct bpf_program *atomic = *skeleton->progs[i].prog, *other;
		bool use = check->preempts && (check->tracefs || bpf_program__type(atomic) != BPF_PROG_TYPE_TRACEPOINT);

		if (!end)
			continue;
		other = program_of(skeleton, name, (size_t)(end - name));
		bpf_program__set_autoload(atomic, use);
		bpf_program__set_autoload(other, !use);
	}
}

int driver_load(struct driver *driver, struct bpf_object_skeleton *skeleton, struct errmsg *err)
{
	libbpf_print_fn_t print = listen_to_libbpf();
	int r;

	choose_programs(&driver->check, skeleton);
	r = bpf_object__load_skeleton(skeleton);

	libbpf_set_print(print);
	driver->skeleton = skeleton;
	if (r == -EPERM)
		return driver_forbidden(err);
	if (r == -ENOMEM)
		return errmsg_set(err, r, NULL, 0, "the kernel has no memory for the driver");
	if (r < 0)
		return refused("the kernel refuses the driver", r, err);
	return 0;
}

int driver_attach(struct driver *driver, struct driver_shared *shared, struct errmsg *err)
{
	const struct bpf_object *object = *driver->skeleton->obj;
	libbpf_print_fn_t print = listen_to_libbpf();
	int r = bpf_object__attach_skeleton(driver->skeleton);

	libbpf_set_print(print);
	if (r < 0)
		return refused("the driver cannot be attached to the kernel's tracepoints", r, err);
	driver->shared = shared;
	driver->files = bpf_object__find_map_fd_by_name(object, "target_files");
	driver->groups = bpf_object__find_map_fd_by_name(object, "target_groups");
	driver->names = bpf_object__find_map_fd_by_name(object, "target_names");
	driver->follow = bpf_object__find_map_fd_by_name(object, "follow");
	for (int i = 0; i < driver->skeleton->prog_cnt; i++)
		if (!strcmp(driver->skeleton->progs[i].name, "seed"))
			driver->seed = bpf_link__fd(*driver->skeleton->progs[i].link);
	return 0;
}

int driver_seed(struct driver *driver, enum driver_seed what, unsigned application, pid_t pid, unsigned pending,
		driver_seeded_fn *fn, void *data)
{
	_cleanup_close_ int iterator = bpf_iter_create(driver->seed);
	struct seeded seeded[64];
	int n = 0;

	if (iterator < 0)
		return -errno;
	driver->shared->seed_what = what;
	driver->shared->seed_application = application;
	driver->shared->seed_pid = (uint32_t)pid;
	driver->shared->seed_pending = pending;
	for (;;) {
		ssize_t size = read(iterator, seeded, sizeof(seeded));

		if (size < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (size < 0)
			return -errno;
		if (!size)
			return n;
		for (size_t i = 0; i < (size_t)size / sizeof(*seeded); i++, n++) {
			int r = fn ? fn(data, &seeded[i]) : 0;

			if (r < 0)
				return r;
		}
	}
}

int driver_follow_process(struct driver *driver, unsigned application, pid_t tid, unsigned pending, driver_seeded_fn *fn,
			  void *data, struct errmsg *err)
{
	uint64_t refused = driver->shared->refused, orphaned = driver->shared->orphaned;
	pid_t pid;
	int n = 0, r = process_to_follow(tid, &pid, err);

	if (r < 0)
		return r;
	/* A thread may be made while the iterator passes: go on until none is new. */
	while ((r = driver_seed(driver, SEED_PROCESS, application, pid, pending, fn, data)) > 0)
		n += r;
	if (r < 0)
		return errmsg_set(err, r, NULL, 0, "cannot follow process %d: %s", tid, strerror(-r));
	if (n || driver->shared->orphaned != orphaned) /* those are adopted later */
		return n;
	if (driver->shared->refused != refused)
		return errmsg_set(err, -ENOSPC, NULL, 0, "process %d cannot be followed: too many threads are already", tid);
	r = process_to_follow(tid, &pid, err); /* it may have ended meanwhile */
	return r < 0 ? r : errmsg_set(err, -EOPNOTSUPP, NULL, 0, "the kernel does not show process %d to the driver", tid);
}

static int identify(struct driver *driver, int fd, const struct stat *st, struct driver_file *ret_file)
{
	int r;

	driver->shared->seed_fd = (uint32_t)fd;
	r = driver_seed(driver, SEED_IDENTIFY, 0, getpid(), 0, NULL, NULL);
	if (r < 1 || driver->shared->seed_file.inode != st->st_ino)
		return r < 0 ? r : -EIO;
	*ret_file = driver->shared->seed_file;
	return 0;
}

uint64_t driver_misses(const struct driver *driver, const char *program)
{
	size_t length = program ? strlen(program) : 0;
	uint64_t misses = 0;

	for (int i = 0; i < driver->skeleton->prog_cnt; i++) {
		const struct bpf_prog_skeleton *skeleton = &driver->skeleton->progs[i];
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if ((!program || !strncmp(program, skeleton->name, length)) && bpf_program__autoload(*skeleton->prog) &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(*skeleton->prog), &info, &size))
			misses += info.recursion_misses;
	}
	return misses;
}

bool driver_has_threads(struct driver *driver)
{
	if (!__atomic_load_n(&driver->shared->threads, __ATOMIC_ACQUIRE))
		return false;
	/* Ends that were missed are not taken off: then ask for the threads themselves, now and then. */
	if (++driver->looks % 64 || !driver_misses(driver, "on_exit"))
		return true;
	return driver_seed(driver, SEED_LIVING, 0, 0, 0, NULL, NULL) != 0;
}

int driver_identify(struct driver *driver, const char *path, struct driver_file *ret_file, struct errmsg *err)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg_errno(err, -errno, path, "cannot find the file");
	if (!S_ISREG(st.st_mode))
		return errmsg_set(err, -EINVAL, path, 0, "is not a file that can be executed");
	r = identify(driver, fd, &st, ret_file);
	return r < 0 ? errmsg_errno(err, r, path, "the kernel does not say which file this is") : 0;
}

bool driver_is_file(struct driver *driver, int fd, const struct driver_file *file)
{
	struct driver_file theirs;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != file->inode)
		return false;
	if ((major(st.st_dev) << 20 | minor(st.st_dev)) == file->device)
		return true;
	/* On some file systems stat has device numbers of its own. */
	return !identify(driver, fd, &st, &theirs) && theirs.device == file->device;
}

int driver_adopt(struct driver *driver, unsigned pending, driver_seeded_fn *fn, void *data)
{
	int r = 0;

	for (int i = 0; i < 10 && r >= 0 && driver->shared->orphaned != driver->orphaned; i++) {
		driver->orphaned = driver->shared->orphaned;
		r = driver_seed(driver, SEED_ORPHANS, 0, 0, pending, fn, data);
	}
	return r;
}

int driver_tend(struct driver *driver)
{
	uint64_t regrouped = driver->shared->regroup;
	int r = driver_adopt(driver, PENDING_ATTACH | PENDING_LOST, NULL, NULL);

	/* Who was faster than we were to see where a target's name leads now has made calls already. */
	if (r >= 0 && driver_renew_targets(driver))
		r = driver_seed(driver, SEED_MATCHING, 0, 0, PENDING_ATTACH | PENDING_LOST, NULL, NULL);
	if (r >= 0 && regrouped != driver->regrouped)
		r = driver_seed(driver, SEED_MATCHING, 0, 0, PENDING_ATTACH, NULL, NULL);
	driver->regrouped = regrouped;
	return r;
}

uint32_t driver_page_shift(void)
{
	return (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}
