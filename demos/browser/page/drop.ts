/** Takes files that are dropped on an element or chosen by its input. */
export function onFiles(area: HTMLElement, take: (files: File[]) => void): void {
  const input = area.querySelector('input')!;
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    input.value = ''; // the same files can be chosen again
    if (files.length > 0) take(files);
  });
  area.addEventListener('dragover', (event) => {
    event.preventDefault();
    area.classList.add('over');
  });
  area.addEventListener('dragleave', () => area.classList.remove('over'));
  area.addEventListener('drop', (event) => {
    event.preventDefault();
    area.classList.remove('over');
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 0) take(files);
  });
}
