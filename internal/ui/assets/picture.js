// The script of Settings: a picture that is too large, as those of most phones are, is made smaller before it is sent.
// Where that fails it is sent as it is, and the server says so.

/** The most bytes that the server takes of a picture, and how wide and high one is that was made smaller. */
const most = 1 << 20;
const enough = 512;

const form = document.querySelector('form[data-picture]');
const field = form.elements.picture;
let making;

field.addEventListener('change', () => {
  const [file] = field.files;
  if (!(file?.size > most)) { making = undefined; return; }
  const mine = shrink(file).catch(() => {}).finally(() => { if (making === mine) making = undefined; });
  making = mine;
});

form.addEventListener('submit', (event) => {
  if (!making) return;
  event.preventDefault();
  making.finally(() => form.requestSubmit());
});

async function shrink(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, enough / Math.min(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map((n) => Math.max(1, Math.round(n * scale)));
  const at = canvas.getContext('2d');
  at.fillStyle = '#fff'; // as the server does with what is transparent
  at.fillRect(0, 0, canvas.width, canvas.height);
  at.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => { canvas.toBlob(done, 'image/jpeg', 0.9); });
  if (!blob || field.files[0] !== file) return;
  const files = new DataTransfer();
  files.items.add(new File([blob], 'picture.jpg', { type: blob.type }));
  field.files = files.files;
}
