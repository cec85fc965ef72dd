// A board as Grafana lays it out, from its JSON and the answers to its queries.

import {
    ThemeContext,
    createTheme,
    dataFrameFromJSON,
    dateTime,
    standardTransformers,
    standardTransformersRegistry,
    EventBusSrv,
} from '@grafana/data';
import { GlobalStyles, PanelChrome, PanelContextProvider } from '@grafana/ui';
import { Component, ReactNode } from 'react';
import { createRoot } from 'react-dom/client';

import { unknownSettings } from './fields';
import { KINDS } from './panels';

interface Input {
    board: any;
    frames: Record<string, any[]>;
    from: number;
    to: number;
}

declare global {
    interface Window {
        input: Input;
        faults: string[];
    }
}

const CELL = 30;
const GAP = 8;
const EDGE = 16;

class Caught extends Component<{ title: string; children: ReactNode }, { error?: Error }> {
    state: { error?: Error } = {};

    static getDerivedStateFromError(error: Error) {
        return { error };
    }

    componentDidCatch(error: Error) {
        window.faults.push(`${this.props.title}: ${error.message}`);
    }

    render() {
        return this.state.error ? (
            <div className="nothing">{this.state.error.message}</div>
        ) : (
            this.props.children
        );
    }
}

function Board({ board, frames, from, to }: Input) {
    const timeRange = {
        from: dateTime(from),
        to: dateTime(to),
        raw: { from: dateTime(from), to: dateTime(to) },
    };
    const column = (window.innerWidth - 2 * EDGE + GAP) / 24;
    const bottom = Math.max(...board.panels.map((panel: any) => panel.gridPos.y + panel.gridPos.h));
    return (
        <div style={{ position: 'relative', height: bottom * (CELL + GAP) + 2 * EDGE }}>
            {board.panels.map((panel: any) => {
                const { x, y, w, h } = panel.gridPos;
                const width = Math.floor(w * column) - GAP;
                const height = h * (CELL + GAP) - GAP;
                const place = {
                    position: 'absolute' as const,
                    left: EDGE + x * column,
                    top: EDGE + y * (CELL + GAP),
                    width,
                    height,
                };
                if (panel.type === 'row') {
                    return (
                        <h6 key={panel.id} style={{ ...place, lineHeight: `${height}px` }}>
                            {panel.title}
                        </h6>
                    );
                }
                const Kind = KINDS[panel.type];
                if (!Kind) {
                    throw new Error(`${panel.title}: there is no panel "${panel.type}"`);
                }
                window.faults.push(
                    ...unknownSettings(panel).map((id) => `${panel.title}: no setting ${id}`)
                );
                const data = (frames[panel.id] ?? []).map((frame: any) => dataFrameFromJSON(frame));
                return (
                    <div key={panel.id} style={place} data-panel={panel.id}>
                        <PanelChrome
                            title={panel.title}
                            description={panel.description}
                            displayMode={panel.transparent ? 'transparent' : 'default'}
                            padding={panel.type === 'table' ? 'none' : 'md'}
                            width={width}
                            height={height}
                        >
                            {(innerWidth: number, innerHeight: number) => (
                                <Caught title={panel.title}>
                                    <div
                                        className="drawn"
                                        style={{ width: innerWidth, height: innerHeight }}
                                    >
                                        <Kind
                                            panel={panel}
                                            frames={data}
                                            timeRange={timeRange}
                                            timeZone="utc"
                                            width={innerWidth}
                                            height={innerHeight}
                                        />
                                    </div>
                                </Caught>
                            )}
                        </PanelChrome>
                    </div>
                );
            })}
        </div>
    );
}

window.faults = [];
// Some have two names there.
const transformers = new Map(
    Object.values(standardTransformers).map((each: any) => [each.id, each])
);
standardTransformersRegistry.setInit(
    () =>
        [...transformers.values()].map((transformation) => ({
            id: transformation.id,
            name: transformation.name,
            transformation: () => Promise.resolve(transformation),
            imageDark: '',
            imageLight: '',
        })) as any
);
const theme = createTheme({ colors: { mode: 'dark' } });
createRoot(document.getElementById('board')!).render(
    <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <PanelContextProvider value={{ eventsScope: 'board', eventBus: new EventBusSrv() } as any}>
            <Board {...window.input} />
        </PanelContextProvider>
    </ThemeContext.Provider>
);
