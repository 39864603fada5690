/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is mapped where: the kernel's two ways of telling agree, and places in this very program are found. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "sensor/mapping.h"
#include "sensor/origin.h"
#include "../tap.h"

static bool same(const struct mapping *a, const struct mapping *b)
{
	return a->start == b->start && a->end == b->end && a->offset == b->offset && a->inode == b->inode &&
	       a->device_major == b->device_major && a->device_minor == b->device_minor && a->writable == b->writable &&
	       a->executable == b->executable && !strcmp(a->name, b->name);
}

static void check_mappings(void)
{
	char line[8192], names[3][64] = { "plain", "new\nline", "back\\slash \\012" };
	char folder[] = "/tmp/imsafe-origin-XXXXXX", path[256];
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	unsigned n = 0, differ = 0;
	FILE *maps;

	ok(mkdtemp(folder) != NULL, "a folder");
	for (unsigned i = 0; i < 3; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, 2 * (off_t)size) < 0 ||
		    mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)size) == MAP_FAILED)
			ok(false, "a file called %u", i);
		close(fd);
		if (i == 0)
			unlink(path); /* "(deleted)" */
	}
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		static struct mapping a, b;
		unsigned long long start;

		if (sscanf(line, "%llx-", &start) != 1 || strstr(line, "[stack]") || strstr(line, "[vsyscall]"))
			continue; /* the stack grows meanwhile; vsyscall is no mapping of ours */
		n++;
		if (mapping_find(getpid(), start, &a) < 0 || mapping_find_text(getpid(), start, &b) < 0 || !same(&a, &b)) {
			differ++;
			printf("# %s# %s | %s\n", line, a.name, b.name);
		}
	}
	if (maps)
		fclose(maps);
	/* The name with a backslash cannot be told from a newline in the text; the kernel does not say which it was. */
	ok(n > 10 && differ <= 1, "%u mappings, told the same by ioctl and by text", n);
	for (unsigned i = 1; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

static void check_places(void)
{
	struct origin_space *space = origin_space_new();
	struct modules modules;
	struct origin here, stack, anonymous, nowhere;
	char path[4096], link[4096], on_stack[64];
	ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	link[MAX(n, 0)] = '\0';
	modules_init(&modules);
	ok(executable_path(getpid(), path, sizeof(path)) == 0 && !strcmp(path, link), "the path of this program");
	origin_find(space, getpid(), (uintptr_t)check_places + 8, (uintptr_t)on_stack, &modules, &here);
	ok(here.kind == ORIGIN_FILE && !strcmp(modules_get(&modules, here.module)->path, path), "its code is a file's");
	origin_find(space, getpid(), (uintptr_t)on_stack + 8, (uintptr_t)on_stack, &modules, &stack);
	ok(stack.kind == ORIGIN_STACK, "its stack is a stack");
	origin_find(space, getpid(), (uintptr_t)page + 8, (uintptr_t)on_stack, &modules, &anonymous);
	ok(anonymous.kind == ORIGIN_ANON && !anonymous.module && anonymous.offset >= (uintptr_t)page, "other memory is anonymous");
	origin_find(space, getpid(), (uintptr_t)page + 8, (uintptr_t)page + 100, &modules, &anonymous);
	ok(anonymous.kind == ORIGIN_STACK, "unless the stack pointer points there: a thread's stack");
	/* Unmapped, it is remembered until we say that something changed. */
	munmap(page, 4096);
	origin_change_begin(space);
	origin_change_end(space);
	origin_find(space, getpid(), (uintptr_t)page + 8, (uintptr_t)on_stack, &modules, &nowhere);
	ok(nowhere.kind == ORIGIN_UNKNOWN, "what is no longer there is forgotten");
	origin_space_unref(space);
	modules_done(&modules);
}

int main(void)
{
	check_mappings();
	check_places();
	return tap_done();
}
