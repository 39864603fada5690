/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A 32-bit ARM program for aarch64, where no instruction of a 64-bit program opens the 32-bit door: the journal's mark, one
 * getppid, its end.
 */
#ifndef IMSAFE_TESTS_COMPAT_H
#define IMSAFE_TESTS_COMPAT_H

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"

#define ARM_MARK    JOURNAL_MARK
#define ARM_GETPPID 64
#define ARM_EXIT    1
#define ARM_BASE    0x10000U

/* Writes it to a new file. */
static inline bool compat_program(const char *path)
{
	static const unsigned svc = 0xef000000, mov_r7 = 0xe3a07000, mov_r0_0 = 0xe3a00000;
	const unsigned text[] = { mov_r7 | ARM_MARK, svc, mov_r7 | ARM_GETPPID, svc, mov_r7 | ARM_EXIT, mov_r0_0, svc };
	struct {
		Elf32_Ehdr head;
		Elf32_Phdr load;
		unsigned text[sizeof(text) / sizeof(*text)];
	} file = {
		.head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
			  .e_machine = EM_ARM, .e_version = EV_CURRENT, .e_entry = ARM_BASE + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
			  .e_phoff = sizeof(Elf32_Ehdr), .e_flags = 0x05000000, .e_ehsize = sizeof(Elf32_Ehdr),
			  .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 },
		.load = { .p_type = PT_LOAD, .p_vaddr = ARM_BASE, .p_paddr = ARM_BASE, .p_filesz = sizeof(file),
			  .p_memsz = sizeof(file), .p_flags = PF_R | PF_X, .p_align = 0x10000 },
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	bool good;

	memcpy(file.text, text, sizeof(text));
	good = fd >= 0 && write(fd, &file, sizeof(file)) == (ssize_t)sizeof(file);
	if (fd >= 0)
		close(fd);
	return good;
}

#endif
