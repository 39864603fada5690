/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/capability.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "sensor/driver-check.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF     39
#endif

#define KERNEL_MAJOR 5
#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"
#define PREEMPTS_MAJOR 7
#define INIT_PID_NAMESPACE 0xeffffffcU /* the inode number of the first one, fixed in the kernel */

static unsigned long long effective_capabilities(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	return caps;
}

static void find_cgroup2(char *ret_path, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[4096];

	*ret_path = '\0';
	while (file && getmntent_r(file, &entry, buffer, sizeof(buffer))) {
		if (strcmp(entry.mnt_type, "cgroup2"))
			continue;
		if ((size_t)snprintf(ret_path, size, "%s", entry.mnt_dir) < size)
			return;
		*ret_path = '\0';
	}
}

static bool locked_down(void)
{
	_cleanup_fclose_ FILE *file = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "";

	return file && fgets(line, sizeof(line), file) && strstr(line, "[confidentiality]");
}

static bool has_word(const char *text, size_t size, const char *word)
{
	return memmem(text, size, word, strlen(word) + 1);
}

/* Distributions bring newer BPF to their older kernels; the types say which helpers there are, whatever the version. */
static void ask_types(struct driver_check *check)
{
	_cleanup_close_ int fd = open(KERNEL_TYPES, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *types = NULL;
	struct stat st;
	ssize_t n = 0;
	size_t size = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	types = malloc((size_t)st.st_size);
	while (types && size < (size_t)st.st_size && (n = read(fd, types + size, (size_t)st.st_size - size)) > 0)
		size += (size_t)n;
	if (!types || n < 0)
		return;
#ifdef __aarch64__
	if (!has_word(types, size, "BPF_FUNC_copy_from_user_task")) /* came with the atomic instructions */
		return;
#endif
	check->kernel |= has_word(types, size, "BPF_FUNC_task_storage_get") && has_word(types, size, "BPF_FUNC_for_each_map_elem");
	check->find_vma |= check->kernel && has_word(types, size, "BPF_FUNC_find_vma");
}

/* Where libbpf looks for the numbers of tracepoints. */
static bool can_read_tracefs(void)
{
	return !access("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", R_OK) ||
	       !access("/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id", R_OK);
}

void driver_check(struct driver_check *ret_check)
{
	struct driver_check check = { .kernel = false };
	unsigned long long caps = effective_capabilities();
	bool admin = caps >> CAP_SYS_ADMIN & 1;
	unsigned major = 0, minor = 0;
	struct utsname name;
	struct stat st;

	if (!uname(&name)) {
		snprintf(check.release, sizeof(check.release), "%s", name.release);
		if (sscanf(name.release, "%u.%u", &major, &minor) == 2) {
			check.kernel = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= DRIVER_KERNEL_MINOR);
			check.preempts = major >= PREEMPTS_MAJOR;
			check.find_vma = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= DRIVER_ORIGINS_MINOR);
		}
	}
	check.btf = !access(KERNEL_TYPES, R_OK);
	if (!check.find_vma)
		ask_types(&check);
	check.preempts |= secure_getenv("IMSAFE_DRIVER_ATOMIC") != NULL; /* to test on older kernels what newer ones need */
	check.tracefs = can_read_tracefs();
	check.cap_bpf = admin || caps >> CAP_BPF & 1;
	check.cap_perfmon = admin || caps >> CAP_PERFMON & 1;
	check.cap_ptrace = caps >> CAP_SYS_PTRACE & 1;
	check.confidentiality = locked_down();
	check.pid_namespace = !stat("/proc/self/ns/pid", &st) && st.st_ino != INIT_PID_NAMESPACE;
	find_cgroup2(check.cgroup2, sizeof(check.cgroup2));
	*ret_check = check;
}

int driver_missing(const struct driver_check *check, struct errmsg *err)
{
	const struct {
		bool missing;
		int error;
		const char *text;
	} needs[] = {
		{ !check->kernel, -ENOSYS, "a kernel of at least " DRIVER_KERNELS },
		{ !check->btf, -ENOSYS, "a kernel that describes its types (" KERNEL_TYPES ", CONFIG_DEBUG_INFO_BTF)" },
		{ check->confidentiality, -EPERM, "a kernel that is not locked down for confidentiality" },
		{ !check->cap_bpf || !check->cap_perfmon, -EPERM,
		  check->cap_perfmon ? "the capability CAP_BPF" :
		  check->cap_bpf     ? "the capability CAP_PERFMON" :
				       "the capabilities CAP_BPF and CAP_PERFMON" },
		{ check->pid_namespace, -EPERM, "the machine's own PID namespace (not a container's)" },
	};
	char list[sizeof(err->text)] = "";
	size_t used = 0;
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (!needs[i].missing)
			continue;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", needs[i].text);
		used = MIN(used, sizeof(list) - 1);
		error = error ? error : needs[i].error;
	}
	return error ? errmsg_set(err, error, NULL, 0, "the driver needs %s", list) : 0;
}
