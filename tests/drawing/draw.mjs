// draw.mjs INPUT FOLDER: draw boards in headless Chromium, as pictures and a report.
//
// INPUT is JSON: `boards` (each with `name`, `board`, `frames` by panel, `from`, `to`), `widths`, and
// `height` for pictures of only so much of a board. FOLDER gets NAME-WIDTH.png and
// report.json: for each picture what each panel shows, what is cut off, and the faults of the page.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [input, folder] = process.argv.slice(2);
const modules = resolve(process.env.NODE_MODULES);
const require = createRequire(join(modules, 'x.js'));
const esbuild = require('esbuild');
const { chromium } = require('playwright-core');
const here = dirname(fileURLToPath(import.meta.url));
const icons = join(dirname(require.resolve('@grafana/ui/package.json')), 'dist', 'public');
const origin = 'http://boards.invalid';
// Grafana's own fonts, whose files its packages leave out.
const WEIGHTS = {
    Regular: '400-normal',
    Medium: '500-normal',
    Italic: '400-italic',
    MediumItalic: '500-italic',
};

const HTML = `<!doctype html><meta charset="utf-8"><title>Boards</title>
<style>
  body { margin: 0 }
  h6 { margin: 0; font-size: 16px; font-weight: 500 }
  .drawn { overflow: hidden; position: relative }
  .nothing { display: flex; height: 100%; align-items: center; justify-content: center }
  .words { height: 100%; overflow: auto }
</style>
<div id="board"></div>
<script>
  window.grafanaBootData = { settings: {}, user: {} };
  window.__grafana_public_path__ = '/public/';
</script>
<script src="/input.js"></script><script type="module" src="/main.js"></script>`;

function fontOf(name, face) {
    return readFileSync(join(modules, '@fontsource', name, 'files', `${name}-latin-${face}.woff2`));
}

async function bundle() {
    const built = await esbuild.build({
        entryPoints: [join(here, 'page', 'main.tsx')],
        bundle: true,
        write: false,
        outfile: 'main.js',
        format: 'esm',
        jsx: 'automatic',
        nodePaths: [modules],
        define: { 'process.env.NODE_ENV': '"production"' },
        loader: { '.ttf': 'empty' }, // of an editor that no panel has
        logLevel: 'error',
    });
    return Object.fromEntries(
        built.outputFiles.map((file) => [file.path.split('.').pop(), file.text])
    );
}

// What each panel shows; runs in the page.
function look() {
  // A text may be cut off in a cell: the column says what it is. A figure would be another one.
    const isText = (part) => part.closest('[role=gridcell]') && !/^[-\d.]/.test(part.textContent);
    const cut = (element) => element.scrollWidth > element.clientWidth + 1;
    const isSeen = (part) => {
        const { left, top, height } = part.getBoundingClientRect();
        return part.contains(document.elementFromPoint(left + 1, top + height / 2));
    };
    // Axes, grids and labels are grey: what is drawn of the data has a colour.
    const coloured = (canvas) => {
        if (!canvas.width || !canvas.height) {
            return 0;
        }
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let i = 0; i < data.length; i += 4) {
            const most = Math.max(data[i], data[i + 1], data[i + 2]);
            const least = Math.min(data[i], data[i + 1], data[i + 2]);
            if (data[i + 3] > 0 && most - least > 24) {
                found += 1;
            }
        }
        return found;
    };
    return [...document.querySelectorAll('[data-panel]')].map((element) => {
        const drawn = element.querySelector('.drawn');
        const texts = [...element.querySelectorAll('*')].filter(
            (part) =>
                part.childElementCount === 0 &&
                part.textContent &&
                getComputedStyle(part).textOverflow === 'ellipsis'
        );
        return {
            id: Number(element.dataset.panel),
            nothing: drawn?.querySelector('.nothing')?.textContent ?? null,
            text: drawn?.innerText ?? '',
            figures: [...element.querySelectorAll('[data-figure]')].map(({ dataset }) => ({
                name: dataset.name,
                text: dataset.figure,
                colour: dataset.colour,
            })),
            coloured: [...(drawn?.querySelectorAll('canvas') ?? [])].reduce(
                (sum, canvas) => sum + coloured(canvas),
                0
            ),
            pieces: drawn?.querySelectorAll('svg > path[fill]').length ?? 0,
            cells: drawn?.querySelectorAll('[role=gridcell]').length ?? 0,
            cut: texts
                .filter((part) => cut(part) && !isText(part) && isSeen(part))
                .map((part) => part.textContent),
        };
    });
}

async function drawn(browser, files, { name, ...given }, width, high) {
    const faults = [];
    const page = await browser.newPage();
    await page.setViewportSize({ width, height: 800 });
    await page.clock.setFixedTime(given.to);
    page.on('pageerror', (error) => faults.push(String(error.stack ?? error)));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    await page.route('**/*', (route) => {
        const { pathname } = new URL(route.request().url());
        const send = (contentType, body) => route.fulfill({ contentType, body });
        if (pathname === '/') {
            return send('text/html', HTML);
        }
        if (pathname === '/input.js') {
            return send('text/javascript', `window.input = ${JSON.stringify(given)};`);
        }
        if (pathname === '/main.js') {
            return send('text/javascript', files.js);
        }
        const icon = /img\/icons\/[\w/-]+\.svg$/.exec(pathname);
        if (icon) {
            return send('image/svg+xml', readFileSync(join(icons, icon[0])));
        }
        const inter = /\/inter\/Inter-(\w+)\.woff2$/.exec(pathname);
        if (inter && WEIGHTS[inter[1]]) {
            return send('font/woff2', fontOf('inter', WEIGHTS[inter[1]]));
        }
        if (pathname.includes('/fonts/roboto/')) {
            return send('font/woff2', fontOf('roboto-mono', WEIGHTS.Regular));
        }
        faults.push(`the page asks for ${pathname}`);
        return route.fulfill({ status: 404 });
    });
    await page.goto(`${origin}/`);
    if (files.css) {
        await page.addStyleTag({ content: files.css });
    }
    const height = await page.evaluate(() => document.getElementById('board').scrollHeight);
    await page.setViewportSize({ width, height: Math.max(height, 100) });
    await page.waitForLoadState('networkidle');
    await page.evaluate(() => document.fonts.ready);
    // A table is hidden until it has measured its texts; one that stays so is found blank.
    const shown = () =>
        [...document.querySelectorAll('[role=grid]')].every((table) => table.innerText);
    await page.waitForFunction(shown, null, { timeout: 20_000 }).catch(() => {});
    // uPlot draws in microtasks and frames after its panel was mounted.
    await page.evaluate(
        () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    );
    const panels = await page.evaluate(look);
    const picture = `${name}-${width}.png`;
    const clip = high ? { x: 0, y: 0, width, height: high } : undefined;
    await page.screenshot({ path: join(folder, picture), clip });
    faults.push(...(await page.evaluate(() => window.faults)));
    await page.close();
    return { name, width, picture, panels, faults };
}

const { boards, widths, height } = JSON.parse(readFileSync(input, 'utf8'));
const profile = mkdtempSync(join(tmpdir(), 'boards-'));
try {
    const files = await bundle();
    const browser = await chromium.launchPersistentContext(profile, {
        timezoneId: 'UTC',
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: [
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
        ],
    });
    const report = [];
    for (const width of widths) {
        for (const board of boards) {
            report.push(await drawn(browser, files, board, width, height));
        }
    }
    await browser.close();
    writeFileSync(join(folder, 'report.json'), JSON.stringify(report, null, 1));
} finally {
    rmSync(profile, { recursive: true });
}
