/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor/origin.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "sensor/mapping.h"

#define REMEMBERED 8 /* mappings per address space; programs call from two or three */

#if defined(__x86_64__) || defined(__i386__)
#define CALL_INSTRUCTION 2 /* bytes of syscall, int 0x80 and sysenter */
#else
#define CALL_INSTRUCTION 4
#endif

struct remembered {
	uint64_t start, end;
	uint64_t offset; /* of start in the file */
	uint32_t module;
	uint8_t kind;
};

struct origin_space {
	unsigned references;
	unsigned changing; /* calls under way that change mappings */
	bool distrusted;
	unsigned n, next;  /* valid entries; where the next one goes */
	struct remembered map[REMEMBERED];
};

struct origin_space *origin_space_new(void)
{
	struct origin_space *space = calloc(1, sizeof(*space));

	if (space)
		space->references = 1;
	return space;
}

struct origin_space *origin_space_ref(struct origin_space *space)
{
	space->references++;
	return space;
}

struct origin_space *origin_space_unref(struct origin_space *space)
{
	if (space && !--space->references)
		free(space);
	return NULL;
}

static void forget(struct origin_space *space)
{
	space->n = space->next = 0;
}

void origin_change_begin(struct origin_space *space)
{
	space->changing++;
	forget(space);
}

void origin_change_end(struct origin_space *space)
{
	space->changing--;
	forget(space);
}

void origin_space_distrust(struct origin_space *space)
{
	space->distrusted = true;
	forget(space);
}

/* The index of the mapping's file, 0 if it has none or there is no room for it. */
static uint32_t mapping_module(const struct mapping *mapping, pid_t tid, struct modules *modules)
{
	uint64_t device = makedev(mapping->device_major, mapping->device_minor);
	char build_id[41] = "";
	int r;

	for (unsigned i = modules->n; i-- > 1;) {
		const struct module *module = &modules->module[i];

		if (module->device == device && module->inode == mapping->inode && !strcmp(module->path, mapping->name))
			return i;
	}
	mapping_build_id(mapping, tid, build_id);
	r = modules_add(modules, mapping->name, build_id, device, mapping->inode);
	return r < 0 ? 0 : (uint32_t)r;
}

static uint8_t mapping_kind(const struct mapping *mapping)
{
	const char *name = mapping->name;

	if (!mapping_has_file(mapping)) {
		if (!strcmp(name, "[heap]"))
			return ORIGIN_HEAP;
		if (!strncmp(name, "[stack", 6))
			return ORIGIN_STACK;
		if (!mapping->writable && (!strcmp(name, "[vdso]") || !strcmp(name, "[vsyscall]") || !strcmp(name, "[uprobes]")))
			return ORIGIN_VDSO;
		return ORIGIN_ANON;
	}
	/* Files that never were on a disk: memfd_create, System V segments, shared or huge anonymous memory. */
	if (!strncmp(name, "/memfd:", 7) || !strncmp(name, "/SYSV", 5) || !strncmp(name, "/dev/zero", 9) ||
	    !strncmp(name, "/anon_hugepage", 14))
		return ORIGIN_ANON;
	/* Not executable, and yet a call came from it: it was, when the call was made. Nothing vouches for it. */
	return mapping->writable || !mapping->executable ? ORIGIN_WRITABLE : ORIGIN_FILE;
}

static bool look_up(pid_t tid, uint64_t address, struct modules *modules, struct remembered *ret)
{
	struct mapping mapping;

	if (mapping_find(tid, address, &mapping) < 0)
		return false;
	*ret = (struct remembered){ .start = mapping.start, .end = mapping.end, .kind = mapping_kind(&mapping) };
	if (mapping_has_file(&mapping)) {
		ret->module = mapping_module(&mapping, tid, modules);
		ret->offset = mapping.offset;
	}
	return true;
}

void origin_find(struct origin_space *space, pid_t tid, uint64_t ip, uint64_t sp, struct modules *modules,
		 struct origin *ret_origin)
{
	uint64_t address = ip - CALL_INSTRUCTION;
	struct remembered fresh, *found = NULL;

	for (unsigned i = 0; i < space->n; i++)
		if (address - space->map[i].start < space->map[i].end - space->map[i].start) {
			found = &space->map[i];
			break;
		}
	if (!found) {
		if (!look_up(tid, address, modules, &fresh)) {
			*ret_origin = (struct origin){ .kind = ORIGIN_UNKNOWN, .offset = address };
			return;
		}
		found = &fresh;
		if (!space->changing && !space->distrusted) {
			space->map[space->next] = fresh;
			space->next = (space->next + 1) % REMEMBERED;
			space->n = MIN(space->n + 1, (unsigned)REMEMBERED);
		}
	}
	ret_origin->kind = found->kind;
	ret_origin->module = found->module;
	ret_origin->offset = found->module ? address - found->start + found->offset : address;
	/* Stacks of threads are anonymous memory like any other, but for the stack pointer. */
	if (found->kind == ORIGIN_ANON && !found->module && sp - found->start < found->end - found->start)
		ret_origin->kind = ORIGIN_STACK;
}

int executable_path(pid_t pid, char *ret_path, size_t size)
{
	static const char deleted[] = " (deleted)";
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	n = readlink(link, ret_path, size - 1);
	if (n < 0)
		return -errno;
	ret_path[n] = '\0';
	if ((size_t)n >= sizeof(deleted) && !strcmp(ret_path + n - (sizeof(deleted) - 1), deleted))
		ret_path[n - (ssize_t)(sizeof(deleted) - 1)] = '\0';
	return 0;
}

void executable_build_id(pid_t pid, char ret_hex[41])
{
	char link[64];

	*ret_hex = '\0';
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	build_id_read(link, ret_hex);
}

enum syscall_arch executable_arch(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	Elf32_Ehdr header = { 0 };

	if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG))
		return arch_native();
	switch (header.e_machine) {
	case EM_386:
		return ARCH_I386;
	case EM_X86_64:
		return ARCH_X86_64;
	case EM_AARCH64:
		return ARCH_AARCH64;
	case EM_ARM:
		return ARCH_UNKNOWN;
	default:
		return arch_native();
	}
}
