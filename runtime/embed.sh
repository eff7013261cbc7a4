#!/bin/sh
# Writes an assembler file that holds the given files as they are, and the table embedded_files (embed.h) over them.
# NAME=PATH embeds a file of another place under the name NAME.
set -eu
printf '.section .rodata\n'
number=0
for file; do
    number=$((number + 1))
    printf 'name%d: .asciz "%s"\ntext%d: .incbin "%s"\nend%d: .byte 0\n' $number "${file%%=*}" $number "${file#*=}" $number
done
printf '.section .data.rel.ro, "aw"\n.balign 8\n.globl embedded_files\nembedded_files:\n'
count=$number
number=0
while [ $number -lt $count ]; do
    number=$((number + 1))
    printf '.quad name%d, text%d, end%d\n' $number $number $number
done
printf '.quad 0, 0, 0\n.section .note.GNU-stack, "", @progbits\n'
